import { expect, test } from 'vitest';
import type { Loss } from '../../../src/contract/losses.js';
import { grownSince, summaryOf } from '../../../src/plan/loss-summary.js';

const loss = (rows: number, over: Partial<Loss> = {}): Loss => ({
  leg: 0,
  database: 'frontend',
  seq: 1,
  migration: '17',
  name: 'drop jobs',
  kind: 'table',
  object: 'public.jobs',
  fate: 'goes',
  certainty: 'certain',
  through: null,
  found: 'there',
  rows: { value: rows, exact: true },
  values: null,
  bytes: { value: rows * 10, exact: true },
  ...over,
});

test.each([
  ['a hundred rows more', 10, 110, []],
  ['a hundred and one', 10, 111, ['frontend public.jobs held 10 rows, and holds 111 now']],
  ['a tenth more', 10_000, 11_000, []],
  ['more than a tenth', 10_000, 11_001, ['frontend public.jobs held 10,000 rows, and holds 11,001 now']],
  ['fewer', 10_000, 5, []],
])('%s of what is lost', (_, before, now, said) => {
  expect(grownSince([loss(before)], [loss(now)])).toEqual(said);
});

test('columns are judged by their values; what is only rewritten does not count; what is new counts from nothing', () => {
  const column = (values: number) =>
    loss(1_000, { kind: 'column', object: 'public.jobs.note', values: { value: values, exact: true } });
  expect(grownSince([column(1)], [column(500)])).toEqual(['frontend public.jobs.note held 1 value, and holds 500 now']);
  const rewritten = (rows: number) => loss(rows, { kind: 'rewrite', fate: 'changes' });
  expect(grownSince([rewritten(1)], [rewritten(10_000)])).toEqual([]);
  expect(grownSince([], [loss(101)])).toHaveLength(1);
});

test('what nobody could count when it was shown is not said to have held nothing', () => {
  expect(grownSince([loss(0, { rows: null })], [loss(2_000)])).toEqual([
    'frontend public.jobs could not be counted then, and holds 2,000 rows now',
  ]);
});

test('a summary names the ten largest, counts the rest, and leaves out what holds nothing', () => {
  const losses = Array.from({ length: 15 }, (_, n) => loss(n, { object: `public.t${n}` }));
  const totals = { tables: 15, columns: 0, rows: { value: 105, exact: true }, bytes: { value: 1050, exact: true } };
  const summary = summaryOf({
    plan: 'p',
    takenAt: 'now',
    losses,
    structure: [],
    returnsEmpty: [],
    unknown: [],
    totals,
    remarks: [],
  });
  expect(summary.losses).toBe(14); // the first has no row
  expect(summary.largest).toHaveLength(10);
  expect(summary.largest[0]).toBe('frontend table public.t14: 14 rows, 140 B (17 drop jobs)');
});
