import { expect, test } from 'vitest';
import { analyseScript } from '../../../src/postgres/script.js';

const makes = async (text: string) =>
  ((await analyseScript(text)).makes ?? []).map(({ kind, object }) => `${kind} ${object}`);

test('tables and columns that a script makes and does not fill are named', async () => {
  expect(await makes('create table s.a (id int); alter table b add column c text default 1, drop column d')).toEqual([
    'table s.a',
    'column b.c',
  ]);
  expect(await makes('do $$ begin create table a (id int); end $$')).toEqual(['table a']);
  expect(await makes('create table a (id int); alter table a add column b int')).toEqual(['table a']);
});

test.each([
  ['filled by an insert', 'create table a (id int); insert into a select 1'],
  ['filled by an update', 'alter table a add column b int; update a set b = 1'],
  ['made of a query', 'create table a as select 1 as id'],
  ['temporary', 'create temp table a (id int)'],
  ['a partition', 'create table p1 partition of p for values from (1) to (2)'],
  ['computed', 'alter table a add column b int generated always as (id * 2) stored'],
  ['an identity', 'alter table a add column b bigint generated always as identity'],
])('what is %s is none of them', async (_, text) => {
  expect(await makes(text)).toEqual([]);
});
