import type pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { closeGate, openClient, terminate, waitAt } from '../support/gate.js';
import { expectNoLeaks, IN_THIS_DATABASE } from '../support/postgres.js';
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
  insert into parcels select i, i, 'x' from generate_series(1, 100) i;
  create index parcels_note on parcels (note);
  create table witness (what text);
  create schema room; create table room.things (id bigint primary key);`;
const one = (text: string): StagedStep[] => [{ migration: '10001', text }];
const BUILD = 'create index concurrently parcels_weight on parcels (weight)';
const BUILD_UNIQUE = 'create unique index concurrently parcels_weight on parcels (weight)';

async function indexes(): Promise<Record<string, boolean>> {
  const rows = await staged.database.query<{ name: string; valid: boolean }>(
    `select i.indexrelid::regclass::text as name, i.indisvalid as valid from pg_index i
      where i.indrelid = 'parcels'::regclass order by 1`,
  );
  return Object.fromEntries(rows.map(({ name, valid }) => [name, valid]));
}

async function expectCleanAndAlone(): Promise<void> {
  const check = await staged.check(2);
  expect(check).toMatchObject({ clean: true, reasons: [], how: 'counted' });
  const locks = await staged.database.query(`select classid, objid from pg_locks l
    where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())`);
  expect(locks).toEqual([]);
  expect(await staged.database.query('select state, intent from pgunwind.step')).toEqual([
    { state: 'done', intent: null },
  ]);
}

/** A transaction of someone else that keeps a snapshot: every concurrent statement on the table waits for it. */
async function oldSnapshot(): Promise<pg.Client> {
  const client = await openClient(staged.database);
  clients.push(client);
  await client.query('begin isolation level repeatable read');
  await client.query('insert into parcels values (1000, 1000, null)');
  return client;
}

/** The backend of our attempt, once it waits for that transaction. */
function waiting(): Promise<number> {
  return until(
    async () => {
      const rows = await staged.database.asSuperuser<{ pid: number }>(
        `select a.pid from pg_stat_activity a where a.datname = $1 and a.application_name like 'pgu:%'
           and a.state = 'active' and a.wait_event_type = 'Lock'`,
        [staged.database.name],
      );
      return rows[0]?.pid;
    },
    { describe: 'our attempt to wait for the open transaction' },
  );
}

describe('a concurrent step', () => {
  test.each([
    ['create index', BUILD, { parcels_weight: true }],
    [
      'create index if not exists',
      'create index concurrently if not exists parcels_weight on parcels (weight)',
      { parcels_weight: true },
    ],
    ['create index without a name', 'create index concurrently on parcels (weight)', { parcels_weight_idx: true }],
    [
      'create index if not exists where it stands already',
      'create index concurrently if not exists parcels_note on parcels (note)',
      {},
    ],
    ['reindex table', 'reindex table concurrently parcels', {}],
    ['reindex the index of a primary key', 'reindex index concurrently parcels_pkey', {}],
  ])('%s is done, recorded and clean', async (_, text, made) => {
    staged = await stage(one(text), {
      setup: `${SETUP} create table children (parcel bigint references parcels, note text);`,
    });
    expect(staged.order(1).execution).toBe('concurrent');
    const applied = await staged.apply(1);
    expect(applied.outcome).toMatchObject({ how: 'ran' });
    expect(applied.check).toMatchObject({ clean: true, reasons: [] });
    expect(await indexes()).toEqual({ parcels_note: true, parcels_pkey: true, ...made });
    await expectCleanAndAlone();
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('foundDone');
  });

  test('drop index concurrently is done, and clean', async () => {
    staged = await stage(one('drop index concurrently parcels_note'), { setup: SETUP });
    await staged.apply(1);
    expect(await indexes()).toEqual({ parcels_pkey: true });
    await expectCleanAndAlone();
  });

  test('reindex of a partitioned table is done, and clean', async () => {
    staged = await stage(one('reindex table concurrently measures'), {
      setup: `${SETUP} create table measures (at integer primary key, what text) partition by range (at);
        create table measures_1 partition of measures for values from (1) to (10);
        create table measures_2 partition of measures for values from (10) to (20);`,
    });
    await staged.apply(1);
    await expectCleanAndAlone();
  });

  test('detach partition concurrently is done, and clean', async () => {
    staged = await stage(one('alter table measures detach partition measures_1 concurrently'), {
      setup: `${SETUP} create table measures (at integer primary key, parcel bigint references parcels) partition by range (at);
        create table measures_1 partition of measures for values from (1) to (10);`,
    });
    await staged.apply(1);
    expect(await staged.database.query('select from pg_inherits where inhparent = $1::regclass', ['measures'])).toEqual(
      [],
    );
    await expectCleanAndAlone();
  });

  test.each(['vacuum full parcels', 'vacuum (analyze) parcels', 'reindex schema room'])(
    '%s is done, and what it wrote anew is not taken for a change by others',
    async (text) => {
      staged = await stage(one(text), { setup: SETUP });
      expect(staged.order(1).execution).toBe('concurrent');
      await staged.apply(1);
      await expectCleanAndAlone();
    },
  );

  test('ordinary and concurrent statements keep their order, each piece once', async () => {
    const text = `insert into witness values ('before');
set search_path = public;
${BUILD};
insert into witness values ('between'); alter table parcels add column height integer;
create index concurrently parcels_height on parcels (height);
drop index concurrently parcels_note;
insert into witness values ('after')`;
    staged = await stage(one(text), { setup: SETUP });
    const applied = await staged.apply(1);
    expect(applied.check).toMatchObject({ clean: true, reasons: [] });
    expect(await indexes()).toEqual({ parcels_pkey: true, parcels_weight: true, parcels_height: true });
    expect((await staged.database.query('select what from witness')).map((row) => row['what'])).toEqual([
      'before',
      'between',
      'after',
    ]);
    await expectCleanAndAlone();
  });

  test('an error names the statement by its number in the script, in whatever piece it is', async () => {
    staged = await stage(
      one(`insert into witness values ('1'); insert into witness values ('2');
${BUILD};
insert into witness values ('4'); insert into parcels values (1)`),
      { setup: SETUP },
    );
    await expect(staged.apply(1)).rejects.toMatchObject({ details: { sqlstate: '23505', statement: 5 } });
    await expect(staged.apply(1, { attempt: 2 })).rejects.toMatchObject({ details: { statement: 5 } });
    await staged.database.query('delete from parcels where id = 1');
    expect((await staged.apply(1, { attempt: 3 })).check).toMatchObject({ clean: true, reasons: [] });
    expect(await staged.database.query('select what from witness order by 1')).toHaveLength(3);
  });

  test('a role that the script takes holds for every piece of it', async () => {
    staged = await stage(one('select 1'), { setup: SETUP });
    const { database } = staged;
    const role = `${database.name}_app`;
    await database.asSuperuser(
      `create role ${role}; grant ${role} to ${database.role}; grant create, usage on schema public to ${role}`,
    );
    const text = `set role ${role}; create table theirs (a integer);
create index concurrently theirs_a on theirs (a); create table more (a integer)`;
    const second = await stage(one(text), { database });
    try {
      expect((await second.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
      expect(
        await database.query(`select relname, relowner::regrole::text as owner from pg_class
          where relname in ('theirs', 'theirs_a', 'more') order by 1`),
      ).toEqual(['more', 'theirs', 'theirs_a'].map((relname) => ({ relname, owner: role })));
    } finally {
      await second.instance.sessions.close();
      await database.asSuperuser(`drop owned by ${role}; drop role ${role}`);
    }
  });

  test.each([BUILD_UNIQUE, BUILD_UNIQUE.replace('concurrently', 'concurrently if not exists')])(
    'a duplicate row leaves an invalid index, which a later attempt drops and builds again: %s',
    async (text) => {
      staged = await stage(one(text), { setup: `${SETUP} insert into parcels values (101, 1, null);` });
      const failure = await staged.apply(1).catch((error: unknown) => error);
      expect(failure).toMatchObject({ type: FailureType.StepFailed, details: { sqlstate: '23505', statement: 1 } });
      expect(await indexes()).toMatchObject({ parcels_weight: false });
      expect(await staged.check(1)).toMatchObject({ clean: true, reasons: [] });
      await staged.database.query('delete from parcels where id = 101');
      const later = await staged.apply(1, { attempt: 2 });
      expect(later.outcome.how).toBe('resumed');
      expect(later.check).toMatchObject({ clean: true, reasons: [] });
      expect(await indexes()).toEqual({ parcels_note: true, parcels_pkey: true, parcels_weight: true });
      await expectCleanAndAlone();
    },
  );

  test.each([BUILD, BUILD.replace('concurrently', 'concurrently if not exists')])(
    'an invalid index of that name that stood there before is named and not dropped: %s',
    async (text) => {
      const setup = `${SETUP} insert into parcels values (101, 1, null);`;
      staged = await stage(one('select 1'), { setup });
      const { database } = staged;
      await database.query(BUILD_UNIQUE).catch(() => undefined);
      const second = await stage(one(text), { database });
      const failure = await second.apply(1).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        type: FailureType.DirtyDatabase,
        details: { reasons: [{ code: 'invalidIndex' }] },
      });
      expect(String(failure)).toContain('parcels_weight');
      expect(await indexes()).toMatchObject({ parcels_weight: false });
      await database.query('drop index parcels_weight');
      expect((await second.apply(1, { attempt: 2 })).check).toMatchObject({ clean: true, reasons: [] });
      expect(await indexes()).toMatchObject({ parcels_weight: true });
      await second.instance.sessions.close();
    },
  );

  test.each([
    ['a build', BUILD, { parcels_note: true, parcels_pkey: true, parcels_weight: true }],
    [
      'a nameless build',
      'create index concurrently on parcels (weight)',
      { parcels_note: true, parcels_pkey: true, parcels_weight_idx: true },
    ],
    ['a drop', 'drop index concurrently parcels_note', { parcels_pkey: true }],
    ['a reindex', 'reindex index concurrently parcels_note', { parcels_note: true, parcels_pkey: true }],
  ])('%s whose session is killed in the middle is completed by a later attempt', async (_, text, wanted) => {
    staged = await stage(one(text), { setup: SETUP });
    const other = await oldSnapshot();
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await terminate(staged.database, await waiting());
    expect(await attempt).toMatchObject({ type: FailureType.StepInterrupted });
    await other.query('rollback');
    expect(await staged.check(1)).toMatchObject({ clean: true, reasons: [] });
    const later = await staged.apply(1, { attempt: 2 });
    expect(later.outcome.how).toMatch(/resumed|probed/);
    expect(later.check).toMatchObject({ clean: true, reasons: [] });
    expect(await indexes()).toEqual(wanted);
    await expectCleanAndAlone();
  });

  test('a detach whose session is killed in the middle is finalized by a later attempt', async () => {
    staged = await stage(one('alter table measures detach partition measures_1 concurrently'), {
      setup: `${SETUP} create table measures (at integer primary key) partition by range (at);
        create table measures_1 partition of measures for values from (1) to (10);`,
    });
    const other = await openClient(staged.database);
    clients.push(other);
    await other.query('begin; select from measures');
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await terminate(staged.database, await waiting());
    await attempt;
    await other.query('rollback');
    expect(
      await staged.database.query('select inhdetachpending as pending from pg_inherits where inhrelid = $1::regclass', [
        'measures_1',
      ]),
    ).toEqual([{ pending: true }]);
    const later = await staged.apply(1, { attempt: 2 });
    expect(later.check).toMatchObject({ clean: true, reasons: [] });
    expect(
      await staged.database.query('select from pg_inherits where inhrelid = $1::regclass', ['measures_1']),
    ).toEqual([]);
    await expectCleanAndAlone();
  });

  test('the build of a dead worker is waited for, not killed, and found done when it ends', async () => {
    staged = await stage(one(BUILD), { setup: SETUP });
    const other = await oldSnapshot();
    const first = staged.apply(1).catch((error: unknown) => error);
    const pid = await waiting();
    const second = await staged.apply(1, { attempt: 2 }).catch((error: unknown) => error);
    expect(second).toMatchObject({ type: FailureType.InstanceBusy, retryable: true, details: { holders: [{ pid }] } });
    expect(String(second)).toContain(
      `of an earlier attempt still runs on "frontend", in process ${pid}. It may finish`,
    );
    expect(await waiting()).toBe(pid);
    await staged.claim(); // a run that goes on after a pause does not end it either
    expect(await waiting()).toBe(pid);
    await other.query('commit');
    // The old claim's session may no longer record what it built; its statement was let finish.
    expect(await first).toMatchObject({ type: FailureType.StaleAttempt });
    const later = await staged.apply(1, { attempt: 1 });
    expect(later.outcome.how).toBe('probed');
    expect(later.check).toMatchObject({ clean: true, reasons: [] });
    expect(await indexes()).toMatchObject({ parcels_weight: true });
    await expectCleanAndAlone();
  });

  test('a migrator that waits inside the server for its lock does not kill the build', async () => {
    staged = await stage(one(`insert into witness values ('before'); ${waitAt(1)}\n${BUILD}`), { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await gate.waiter();
    const { classId, objId } = staged.instance.ledger.lockKey(staged.instance.ledgerOptions);
    const migrator = await openClient(staged.database);
    clients.push(migrator);
    const migrates = migrator.query('select pg_advisory_lock($1, $2)', [classId, objId]);
    const waiting = `select from pg_locks where not granted and classid = $1 and ${IN_THIS_DATABASE}`;
    await until(async () => (await staged.database.query(waiting, [classId])).length > 0, {
      describe: 'the migrator to wait',
    });
    await gate.open();
    await migrates;
    // It got its lock while the index was built: the record waits until it lets go again.
    expect(await attempt).toMatchObject({ type: FailureType.InstanceBusy });
    expect(await indexes()).toMatchObject({ parcels_weight: true });
    await migrator.query('select pg_advisory_unlock_all()');
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('probed');
    await expectCleanAndAlone();
  });

  test("the script's own lock_timeout does not end a build, and is back after it", async () => {
    staged = await stage(
      one(`set lock_timeout = '50ms';
${BUILD};
insert into witness values (current_setting('lock_timeout'))`),
      { setup: SETUP },
    );
    const other = await oldSnapshot();
    const attempt = staged.apply(1);
    await waiting();
    await until(
      async () =>
        (
          await staged.database.asSuperuser<{ long: boolean }>(
            `select bool_or(clock_timestamp() - query_start > interval '300 ms') as long from pg_stat_activity
              where datname = $1 and application_name like 'pgu:%'`,
            [staged.database.name],
          )
        )[0]?.long,
      { describe: 'the build to have waited longer than that' },
    );
    await other.query('commit');
    await attempt;
    expect(await staged.database.query('select what from witness')).toEqual([{ what: '50ms' }]);
  });
});

test('an index whose name another table has taken parks at once: IF NOT EXISTS would pass over it for ever', async () => {
  staged = await stage(
    [{ migration: '10001', text: 'create index concurrently if not exists by_size on parcels (size)' }],
    {
      setup:
        'create table parcels (size integer); create table boxes (size integer); create index by_size on boxes (size);',
    },
  );
  await expect(staged.apply(1)).rejects.toMatchObject({
    type: FailureType.StepFailed,
    message: expect.stringContaining('by_size is an index of boxes'),
  });
  await staged.database.query('drop index by_size');
  expect((await staged.apply(1, { attempt: 2 })).check).toMatchObject({ clean: true });
});
