import type pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import type { RawCheck } from '../../src/journal/answers.js';
import { verdictFrom } from '../../src/step/dirty-check.js';
import { applicationName } from '../../src/step/fence.js';
import { closeGate, openClient, waitAt } from '../support/gate.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage, type StagedStep } from '../support/stage.js';
import { until } from '../support/until.js';

let staged: Stage;
const clients: pg.Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.end();
  if (staged === undefined) return;
  await expectNoLeaks(staged.database);
  await staged.close();
});

const SETUP = `create table parcels (id bigint primary key, weight integer, note text);
  insert into parcels select i, i, 'x' from generate_series(1, 20) i;
  create table things (id bigint primary key, parcel bigint references parcels, what text);
  create sequence numbers;
  create view heavy as select id from parcels where weight > 10;
  create materialized view totals as select sum(weight) as total, repeat('x', 10) as note from parcels;
  create index totals_total on totals (total);
  create type color as enum ('red', 'green');
  create function answer() returns integer language sql as 'select 42';
  create statistics parcels_both on id, weight from parcels;
  create table measures (at integer) partition by range (at);`;

const TWO: StagedStep[] = [
  { migration: '10002', text: 'alter table parcels add column height integer' },
  { migration: '10001', text: 'alter table parcels drop column height' },
];

const codes = (check: RawCheck) => check.reasons.map((reason) => reason.code);
const evidence = (check: RawCheck) =>
  verdictFrom(check, 'frontend')
    .reasons.map((reason) => reason.evidence)
    .join(' · ');

/** After step 1, with `text` run by someone else, and by a second one so that the quiet path is closed to it. */
async function checkAfter(text: string): Promise<RawCheck> {
  staged = await stage(TWO, { setup: SETUP });
  const { check } = await staged.apply(1);
  expect(check).toMatchObject({ clean: true });
  for (const statement of text.split(';;')) await staged.database.query(statement);
  return staged.check(2);
}

describe('the schema was changed by someone else', () => {
  test.each([
    ['create table', 'create table strange (a integer)', 'strange'],
    ['drop table', 'drop table things', 'pg_class'],
    ['add column', 'alter table things add column more integer', 'things'],
    ['drop column', 'alter table things drop column what', 'things'],
    ['alter column type', 'alter table things alter column what type varchar(9)', 'things'],
    ['set default', `alter table things alter column what set default 'x'`, 'things'],
    [
      'create or replace function',
      `create or replace function answer() returns integer language sql as 'select 43'`,
      'answer',
    ],
    ['drop function', 'drop function answer()', 'pg_proc'],
    ['grant on a table', 'grant select on things to public', 'things'],
    ['grant on a column', 'grant select (what) on things to public', 'things.what'],
    ['truncate', 'truncate things', 'things'],
    ['reindex', 'reindex table things', 'things_pkey'],
    ['storage options', 'alter table things set (fillfactor = 50)', 'things'],
    ['create index', 'create index on things (what)', 'things_what_idx'],
    ['drop index', 'drop index totals_total', 'pg_index'],
    [
      'create trigger',
      'create trigger t before update on things for each row execute function suppress_redundant_updates_trigger()',
      'things.t',
    ],
    [
      'disable trigger',
      'alter table things disable trigger user;; create trigger t before update on things for each row execute function suppress_redundant_updates_trigger()',
      'things.t',
    ],
    ['create policy', 'create policy only_mine on things using (true)', 'only_mine'],
    ['enable row security', 'alter table things enable row level security', 'things'],
    ['create view', 'create view light as select 1 as one', 'light'],
    ['replace view', 'create or replace view heavy as select id from parcels where weight > 11', 'heavy'],
    ['add enum value', `alter type color add value 'blue'`, 'blue'],
    ['rename enum value', `alter type color rename value 'red' to 'rouge'`, 'rouge'],
    ['create domain', 'create domain small as integer check (value < 10)', 'small'],
    ['create schema', 'create schema strange_room', 'strange_room'],
    ['alter sequence', 'alter sequence numbers increment 5', 'numbers'],
    ['alter statistics', 'alter statistics parcels_both rename to parcels_two', 'parcels_two'],
    ['a partition', 'create table measures_1 partition of measures for values from (1) to (2)', 'measures_1'],
    ['rename table', 'alter table things rename to stuff', 'stuff'],
    ['rename constraint', 'alter table things rename constraint things_pkey to stuff_pkey', 'stuff_pkey'],
    ['new owner', 'alter table things owner to current_user;; grant update on things to public', 'things'],
  ])('%s is dirty, and the object is named', async (_, text, name) => {
    const check = await checkAfter(text);
    expect(codes(check)).toEqual(['changedByOthers']);
    expect(evidence(check)).toContain(name);
    await expect(staged.apply(2)).rejects.toMatchObject({ type: FailureType.DirtyDatabase });
    await expect(staged.apply(2, { check })).rejects.toMatchObject({ type: FailureType.DirtyDatabase });
  });

  test('an uncommitted change shows once it is committed', async () => {
    staged = await stage(TWO, { setup: SETUP });
    await staged.apply(1);
    const other = await openClient(staged.database);
    clients.push(other);
    await other.query('begin; alter table things add column more integer');
    expect(await staged.check(2)).toMatchObject({ clean: true, how: 'counted' });
    await other.query('commit');
    expect(codes(await staged.check(2))).toEqual(['changedByOthers']);
  });

  test('a change that began before our step and committed after it is seen', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const other = await openClient(staged.database);
    clients.push(other);
    await other.query('begin; alter table things add column more integer');
    expect((await staged.apply(1)).check).toMatchObject({ clean: true });
    await other.query('commit');
    expect(codes(await staged.check(2))).toEqual(['changedByOthers']);
  });

  test.each([
    ['atomic', 'alter table parcels add column height integer', 'create table strange (a integer)'],
    ['atomic, by a drop', 'alter table parcels add column height integer', 'drop function answer()'],
    [
      'counted afresh',
      `do $$ begin execute 'create table made (a integer)'; exception when others then null; end $$`,
      'create table strange (a integer)',
    ],
  ])('during our step (%s) is seen by the check behind it', async (_, text, theirs) => {
    staged = await stage([{ migration: '10002', text: `${text}; ${waitAt(1)}` }, TWO[1] as StagedStep], {
      setup: SETUP,
    });
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1);
    await gate.waiter();
    await staged.database.query(theirs);
    await gate.open();
    expect(codes((await attempt).check as RawCheck)).toEqual(['changedByOthers']);
  });

  test('a change between the check and the step is found by the next check, and lies at its door', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const check = await staged.check(1);
    await staged.database.query('create table strange (a integer)');
    const applied = await staged.apply(1, { check });
    expect(codes(applied.check as RawCheck)).toEqual(['changedByOthers']);
  });
});

describe('what is no change of the schema', () => {
  test.each([
    ['vacuum', 'vacuum parcels'],
    ['analyze', 'analyze;; vacuum analyze things'],
    [
      'a temporary table',
      'create temp table mine (id serial primary key, what text);; create temp view v as select 1 as one',
    ],
    ['nextval', `select nextval('numbers'), nextval('numbers')`],
    ['a comment', `comment on table things is 'of others';; comment on column things.what is 'x'`],
    ['rows', `insert into things values (1, 1, 'x');; update parcels set weight = weight + 1;; delete from things`],
    ['nothing', 'select 1'],
  ])('%s: the check is clean', async (_, text) => {
    expect(await checkAfter(text)).toMatchObject({ clean: true, reasons: [] });
  });

  test('temporary objects of a session that is still there', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const other = await openClient(staged.database);
    clients.push(other);
    await staged.apply(1);
    await other.query(`create temp table mine (id serial primary key, what text check (what <> 'y'));
      create type pg_temp.mood as enum ('sad', 'ok'); create type pg_temp.span as range (subtype = integer);
      create domain pg_temp.small as integer check (value < 10); create temp view v as select * from mine;
      create function pg_temp.f() returns integer language sql as 'select 1';
      create statistics mine_both on id, what from mine; alter table mine enable row level security;
      create policy p on mine using (true)`);
    expect(await staged.check(2)).toMatchObject({ clean: true, reasons: [], how: 'counted' });
    await staged.apply(2);
    expect(await staged.check(3)).toMatchObject({ clean: true, reasons: [] });
  });

  test('a refreshed materialized view is a warning', async () => {
    const check = await checkAfter('refresh materialized view totals');
    expect(check).toMatchObject({ clean: true, reasons: [] });
    expect(check.warnings.map((warning) => warning.code)).toContain('refreshedView');
  });

  test('when nobody else had a transaction id, nothing is counted', async () => {
    staged = await stage(TWO, { setup: SETUP });
    // Somebody else's test may take an id of the same cluster in between: quiet as soon as nobody does.
    await until(
      async () => {
        const { check } = await staged.apply(1);
        if (check === null) throw new Error('there is no check behind the step');
        if (check.how !== 'quiet') {
          await staged.close();
          staged = await stage(TWO, { setup: SETUP });
        }
        return check.how === 'quiet' && check.clean;
      },
      { describe: 'a moment without transactions of others', within: 30_000 },
    );
  });
});

describe('our own scripts leave no dirt behind', () => {
  const manySubtransactions = Array.from(
    { length: 70 },
    (_, at) => `savepoint s${at}; create table made_${at} (id integer primary key, what text);`,
  ).join('\n');
  test.each([
    [
      'a savepoint that is rolled back',
      'savepoint a; create table made (a integer); rollback to a; alter table parcels add column height integer',
    ],
    ['a savepoint that is released', 'savepoint a; create table made (a integer); release a; drop table things'],
    [
      'an exception block that fails',
      `do $$ begin create table made (a integer); perform 1/0; exception when division_by_zero then create table other (a integer); end $$`,
    ],
    [
      'an exception block that succeeds',
      `do $$ begin create table made (a integer); exception when others then null; end $$; drop view heavy`,
    ],
    ['seventy subtransactions', manySubtransactions],
    [
      'a function with an exception block',
      `create function make() returns void language plpgsql as $$ begin execute 'create table made (a integer)'; exception when others then null; end $$; select make()`,
    ],
    [
      'temporary objects',
      `create temp table mine (id serial primary key, what text) on commit drop; create table made as select * from mine`,
    ],
    [
      'a temporary table that stays',
      `create temp table mine (id serial primary key, what text); create table made as select * from mine`,
    ],
    [
      'what is made and dropped again',
      'create table made (id serial primary key); drop table made; create index on things (what)',
    ],
    ['a cascade', 'drop table parcels cascade'],
    ['a truncate', 'truncate things; alter table things set (fillfactor = 70)'],
    [
      'new functions, types, policies',
      `create type mood as enum ('sad', 'ok'); create function f(mood) returns integer language sql as 'select 1';
      alter table things enable row level security; create policy p on things using (true); alter type color add value 'blue'; create schema room; drop statistics parcels_both`,
    ],
    ['a refresh', 'refresh materialized view totals; drop index totals_total'],
    [
      'a rewrite',
      'alter table things alter column what type varchar(99); alter table things alter column id type numeric; cluster things using things_pkey',
    ],
    [
      'partitions',
      'create table measures_1 partition of measures for values from (1) to (2); alter table measures detach partition measures_1; drop table measures',
    ],
  ])('%s', async (_, text) => {
    staged = await stage(
      [
        { migration: '10002', text },
        { migration: '10001', text: 'select 1' },
      ],
      { setup: SETUP },
    );
    const applied = await staged.apply(1);
    expect(applied.check).toMatchObject({ clean: true, reasons: [] });
    await staged.database.query('select pg_current_xact_id()');
    expect(await staged.check(2)).toMatchObject({ clean: true, reasons: [], how: 'counted' });
    expect((await staged.apply(2)).check).toMatchObject({ clean: true, reasons: [] });
  });

  test('where the server does not count rows, the end of a step counts afresh', async () => {
    staged = await stage(TWO, { setup: SETUP });
    await staged.database.asSuperuser(`alter database ${staged.database.name} set track_counts = off`);
    await staged.instance.sessions.close();
    const again = await stageLike();
    expect((await again.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
    await staged.database.query('drop view heavy');
    expect(codes(await again.check(2))).toEqual(['changedByOthers']);
    await again.instance.sessions.close();
  });
});

/** Another run over the same database with sessions of its own. */
async function stageLike(): Promise<Stage> {
  return stage(TWO, { database: staged.database, direction: 'down' });
}

describe('ledger and journal', () => {
  const LOG = `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success) values (2, 'schema_migrations', `;

  test.each([
    ['a row that began', `${LOG} 777, true, now(), null, null)`, ['unfinishedLedgerRow']],
    ['a row that failed', `${LOG} 777, true, now(), now(), false)`, ['failedLedgerRow']],
    ['an id that someone applied', `${LOG} 777, true, now(), now(), true)`, ['unexpectedAppliedSet']],
    ['an id that someone undid', `${LOG} 10001, false, now(), now(), true)`, ['unexpectedAppliedSet']],
    ['an id that someone applied again', `${LOG} 10002, true, now(), now(), true)`, ['unexpectedAppliedSet']],
    ['our own id, failed', `${LOG} 10001, false, now(), now(), false)`, ['failedLedgerRow']],
  ])('%s is dirty, and the id is named', async (_, text, expected) => {
    const check = await checkAfter(text);
    expect(codes(check), evidence(check)).toEqual(expected);
    expect(evidence(check)).toMatch(/777|1000[12]/);
  });

  test('a check of more than ten seconds ago is done again before the step', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const check = await staged.check(1);
    await staged.database.query("insert into pgunwind.server values ('1', 1, 9)");
    const { rows } = await staged.instance.sessions.withSession(({ client }) =>
      client.query<{ then: string }>(`select (clock_timestamp() - interval '11 seconds')::text as then`),
    );
    await staged.database.query(`${LOG} 777, true, now(), null, null)`);
    await expect(staged.apply(1, { check: { ...check, at: rows[0]?.then as string } })).rejects.toMatchObject({
      type: FailureType.DirtyDatabase,
    });
    await expect(staged.apply(1, { check: { ...check, nextSeq: 2 } })).rejects.toMatchObject({
      type: FailureType.DirtyDatabase,
    });
    expect((await staged.apply(1, { check })).outcome.how).toBe('ran');
  });
});

describe('indexes', () => {
  const INVALID = 'create unique index concurrently things_what on things (what)';
  const DUPLICATES = `insert into things values (1, 1, 'x'), (2, 1, 'x');`;

  test('one that became invalid since is dirty and named', async () => {
    staged = await stage(TWO, { setup: `${SETUP} ${DUPLICATES}` });
    await staged.apply(1);
    await staged.database.query(INVALID).catch(() => undefined);
    const check = await staged.check(2);
    expect(codes(check)).toEqual(['invalidIndex', 'changedByOthers']);
    expect(evidence(check)).toContain('things_what');
  });

  test('one that was invalid when the run was planned is not', async () => {
    staged = await stage(TWO, { setup: `${SETUP} ${DUPLICATES}` });
    await staged.database.query(INVALID).catch(() => undefined);
    const later = await staged.again(TWO);
    expect(await later.check(1)).toMatchObject({ clean: true, reasons: [] });
    expect((await later.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
  });

  test('one of a partitioned table that is rightly invalid is not', async () => {
    staged = await stage(TWO, { setup: `${SETUP} create index measures_at on only measures (at);` });
    expect(await staged.check(1)).toMatchObject({ clean: true, reasons: [] });
  });

  test('one that someone builds is dirty while it is built', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const holder = await openClient(staged.database);
    const builder = await openClient(staged.database);
    clients.push(holder, builder);
    await holder.query('begin; insert into things values (1, 1, null)');
    const built = builder.query('create index concurrently things_what on things (what)');
    const check = await until(
      async () => {
        const seen = await staged.check(1);
        return codes(seen).includes('indexBuildRunning') && seen;
      },
      { describe: 'the check to see the build' },
    );
    expect(evidence(check)).toContain('things');
    await holder.query('rollback');
    await built;
    expect(codes(await staged.check(1))).toEqual([]);
  });
});

describe('sessions and servers', () => {
  test('an earlier attempt at another step that still holds the lock is told from a stranger', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const ours = await openClient(staged.database, { application_name: applicationName(staged.token, 1, 2) });
    clients.push(ours);
    await ours.query('select pg_advisory_lock(1885828462, 0)');
    const check = await staged.check(1);
    expect(codes(check)).toEqual(['earlierAttemptAlive']);
    expect(evidence(check)).toContain('pgu:');
  });

  test('an attempt at the very step that comes next is left to that step', async () => {
    staged = await stage(TWO, { setup: SETUP });
    const ours = await openClient(staged.database, { application_name: applicationName(staged.token, 1, 1) });
    clients.push(ours);
    await ours.query('select pg_advisory_lock(1885828462, 0)');
    expect(codes(await staged.check(1))).toEqual([]);
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran'); // it has ended the other one's session
  });

  test('a caller that is behind the journal, as after a reset of its history, is told of the step that is next', async () => {
    staged = await stage(TWO, { setup: SETUP });
    await staged.apply(1);
    const check = await staged.check(1);
    expect(check).toMatchObject({ clean: true, nextSeq: 2 });
    await staged.database.query('create table strange (id integer)');
    expect(codes(await staged.check(1))).toEqual(['changedByOthers']);
  });

  test.each([
    ['another cluster', `update pgunwind.server set system_identifier = '1'`, 'another cluster'],
    ['another database', 'update pgunwind.server set database = 1', 'another database'],
    ['an older timeline', 'update pgunwind.server set timeline = timeline + 1', 'old primary'],
  ])('%s is dirty', async (_, text, words) => {
    staged = await stage(TWO, { setup: SETUP });
    await staged.database.query(text);
    const check = await staged.check(1);
    expect(codes(check)).toEqual(['wrongServer']);
    expect(evidence(check)).toContain(words);
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.DirtyDatabase });
  });

  test('a newer timeline, as after a failover, is not', async () => {
    staged = await stage(TWO, { setup: SETUP });
    await staged.database.query('update pgunwind.server set timeline = timeline - 1');
    expect(await staged.check(1)).toMatchObject({ clean: true });
  });

  test('other sessions and a publication for all tables are warnings', async () => {
    staged = await stage(TWO, { setup: SETUP });
    clients.push(await openClient(staged.database));
    await staged.database.asSuperuser('create publication everything for all tables');
    const check = await staged.check(1);
    expect(check.clean).toBe(true);
    expect(check.warnings.map((warning) => warning.code)).toEqual(
      expect.arrayContaining(['otherSessions', 'publicationForAllTables']),
    );
  });
});

describe('ages of transaction ids', () => {
  const ask = async (text: string) => Object.values((await staged.database.query(text))[0] ?? {})[0];

  test('no row is young where there is no earlier snapshot', async () => {
    staged = await stage(TWO, { setup: SETUP });
    expect(await ask('select pgunwind.young_limit(null)')).toBe(-2_000_000_000);
    expect(await ask('select strangers from pgunwind.count_catalogs(null, null)')).toBe('0');
  });

  test('a snapshot of now makes the next id young and every earlier one old', async () => {
    staged = await stage(TWO, { setup: SETUP });
    expect(
      await ask(`select pgunwind.young_limit(s) = age(pg_snapshot_xmin(s)::xid) from pg_current_snapshot() s`),
    ).toBe(true);
    const [row] = await staged.database.query<{ limit: number; age: number }>(
      `select pgunwind.young_limit('1000:1000:'::pg_snapshot) as limit, age('1000'::xid) as age`,
    );
    expect(row?.limit).toBe(row?.age);
  });

  test('an id of a later epoch is compared by its distance', async () => {
    staged = await stage(TWO, { setup: SETUP });
    // 2^32 + 1000 is xid 1000 of the next epoch: the distance is that of xid 1000.
    expect(await ask(`select pgunwind.young_limit('4294968296:4294968296:'::pg_snapshot) = age('1000'::xid)`)).toBe(
      true,
    );
  });
});
