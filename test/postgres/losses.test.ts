import { afterEach, describe, expect, test } from 'vitest';
import type { Loss, LossReport } from '../../src/contract/losses.js';
import type { Plan } from '../../src/contract/plan.js';
import { surveyLosses } from '../../src/instance/losses/survey.js';
import { COUNT_LIMITS, type CountLimits } from '../../src/instance/losses/count.js';
import { analyseScript } from '../../src/postgres/script.js';
import { createSessionPool, type SessionPool } from '../../src/postgres/session-pool.js';
import { DEFAULT_SETTINGS } from '../../src/postgres/session.js';
import type { InstanceDatabase } from '../../src/step/database.js';
import { createDatabase, expectNoLeaks, withClient, type TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
let sessions: SessionPool;
afterEach(async () => {
  await sessions.close();
  await expectNoLeaks(database);
  await database.drop();
});

/** What these downs would lose of a database that `setup` has made. */
async function losses(setup: string, downs: readonly string[], limits: Partial<CountLimits> = {}): Promise<LossReport> {
  database = await createDatabase();
  await database.query(setup);
  const { url } = database;
  sessions = createSessionPool({ url: () => Promise.resolve(url), settings: DEFAULT_SETTINGS });
  return again(downs, limits);
}

async function again(
  downs: readonly string[],
  limits: Partial<CountLimits> = {},
  standby: SessionPool | null = null,
): Promise<LossReport> {
  const facts = await Promise.all(downs.map((text) => analyseScript(text)));
  const steps = facts.map(({ destroys, sha256 }, at) => ({
    seq: at + 1,
    migration: String(100 - at),
    name: `m${100 - at}`,
    script: sha256,
    destroys,
  }));
  const plan = { id: 'a plan', databases: ['frontend'], legs: [{ release: 'v1.0.0', steps: { frontend: steps } }] };
  const byHash = new Map(facts.map((each) => [each.sha256, each]));
  return surveyLosses(
    { databases: [{ name: 'frontend', sessions, standby } as InstanceDatabase] },
    plan as unknown as Plan,
    {
      limits: { ...COUNT_LIMITS, ...limits },
      makesOf: (sha256) => byHash.get(sha256)?.makes,
      now: () => new Date('2026-01-02T03:04:05Z'),
    },
  );
}

const JOBS = `
  create table jobs (id bigserial primary key, state text, note text);
  insert into jobs (state, note) select 'done', case when n % 4 = 0 then 'a note' end from generate_series(1, 1000) n;`;
const short = ({ kind, object, fate, found, rows, values, through }: Loss) => ({
  what: `${fate} ${kind} ${object}`,
  found,
  ...(rows === null ? {} : { rows: rows.value }),
  ...(values === null ? {} : { values: values.value }),
  ...(through === null ? {} : { through }),
});
const exact = (value: number) => ({ value, exact: true });

describe('what a plan loses', () => {
  test('a table with its rows and bytes, a column with its values, in the order of the steps', async () => {
    const report = await losses(JOBS, ['alter table jobs drop column note', 'drop table if exists jobs']);
    expect(report.losses.map(short)).toEqual([
      { what: 'goes column public.jobs.note', found: 'there', rows: 1_000, values: 250 },
      { what: 'goes table public.jobs', found: 'there', rows: 1_000 },
    ]);
    expect(report.losses[0]).toMatchObject({ seq: 1, migration: '100', database: 'frontend', leg: 0 });
    expect(report.losses[0]?.bytes).toEqual(exact(250 * 7)); // "a note" and its length
    const [{ size }] = (await database.query(`select pg_total_relation_size('jobs')::int as size`)) as [
      { size: number },
    ];
    expect(report.losses[1]?.bytes).toEqual(exact(size));
    expect(report.totals).toEqual({ tables: 1, columns: 0, rows: exact(1_000), bytes: exact(size) });
    expect(report.remarks).toEqual([]);
    expect(report.takenAt).toBe('2026-01-02T03:04:05.000Z');
  });

  test('deleted and rewritten rows are said to be so many at most, and rewritten ones are in no sum', async () => {
    const report = await losses(JOBS, [
      `delete from jobs where state = 'done'`,
      `update jobs set note = null; alter table jobs alter column state type varchar(10)`,
    ]);
    expect(report.losses.map(short)).toEqual([
      { what: 'goes rows public.jobs', found: 'there', rows: 1_000 },
      { what: 'changes rewrite public.jobs', found: 'there', rows: 1_000 },
      { what: 'changes rewrite public.jobs.state', found: 'there', rows: 1_000, values: 1_000 },
    ]);
    expect(report.totals).toMatchObject({ tables: 1, rows: exact(1_000) });
  });

  test('rows that refer to deleted ones go with them where the foreign key says so, however far that leads', async () => {
    const report = await losses(
      `create table users (id int primary key);
       create table orders (id int primary key, buyer int references users on delete cascade);
       create table lines (id int primary key, part_of int references orders on delete cascade);
       create table notes (id int primary key, about int references users on delete set null);
       insert into users select n from generate_series(1, 3) n;
       insert into orders select n, 1 from generate_series(1, 40) n;
       insert into lines select n, 1 from generate_series(1, 500) n;
       insert into notes select n, 1 from generate_series(1, 7) n;`,
      ['delete from users where id = 1'],
    );
    expect(report.losses.map(short)).toEqual([
      { what: 'goes rows public.users', found: 'there', rows: 3 },
      { what: 'goes rows public.lines', found: 'there', rows: 500, through: 'users' },
      { what: 'goes rows public.orders', found: 'there', rows: 40, through: 'users' },
    ]);
    expect(report.totals).toMatchObject({ tables: 3, rows: exact(543) });
  });

  test('tables that inherit from one lose with it: emptied rows, and columns that they have from it', async () => {
    const report = await losses(
      `create table events (id int, note text);
       create table events_2024 (extra int) inherits (events);
       create table events_2025 (note text) inherits (events);
       insert into events_2024 select n, 'a note', n from generate_series(1, 1000) n;
       insert into events_2025 select n, 'a note' from generate_series(1, 20) n;`,
      ['alter table events drop column note', 'truncate events'],
    );
    expect(report.losses.map(short)).toEqual([
      { what: 'goes column public.events.note', found: 'there', rows: 0, values: 0 },
      {
        what: 'goes column public.events_2024.note',
        found: 'there',
        rows: 1_000,
        values: 1_000,
        through: 'events.note',
      },
      { what: 'goes rows public.events', found: 'there', rows: 0 },
      { what: 'goes rows public.events_2024', found: 'there', rows: 1_000, through: 'events' },
      { what: 'goes rows public.events_2025', found: 'there', rows: 20, through: 'events' },
    ]);
  });

  test('tables of an extension go with it, and large objects are counted', async () => {
    const report = await losses('select 1', ['select 1']);
    expect(report.losses).toEqual([]);
    await withClient(database.superuserUrl, (client) =>
      client.query(
        `create extension hstore; create table jobs_of_it (id int); insert into jobs_of_it values (1), (2);
         alter extension hstore add table jobs_of_it; grant select on jobs_of_it to public; select lo_create(0), lo_create(0);`,
      ),
    );
    const found = await again(['select lo_unlink(oid) from pg_largeobject_metadata', 'drop extension hstore cascade']);
    expect(found.losses.map(short)).toEqual([
      { what: 'goes rows pg_catalog.pg_largeobject_metadata', found: 'there', rows: 2 },
      { what: 'goes table public.jobs_of_it', found: 'there', rows: 2, through: 'hstore' },
    ]);
  });

  test('CASCADE is resolved to what really goes: tables, columns and sequences with content, views and constraints without', async () => {
    const report = await losses(
      `create schema old;
       create type old.mood as enum ('ok', 'bad');
       create table old.a (id int primary key, n int);
       create table old.b (id int primary key, a int references old.a);
       create sequence old.numbers;
       create table kept (id int primary key, mood old.mood, moods old.mood[], a int references old.a);
       create view seen as select n from old.a;
       create view seen_too as select n from seen;
       create policy p on old.b using (true);
       insert into old.a select n, n from generate_series(1, 10) n;
       insert into kept values (1, 'ok', null, 1), (2, null, array['bad']::old.mood[], 2);`,
      ['drop schema old cascade'],
    );
    expect(report.losses.map(short)).toEqual([
      { what: 'goes sequence old.numbers', found: 'there', through: 'old' },
      { what: 'goes table old.a', found: 'there', rows: 10, through: 'old' },
      { what: 'goes table old.b', found: 'there', rows: 0, through: 'old' },
      { what: 'goes column public.kept.mood', found: 'there', rows: 2, values: 1, through: 'old' },
      { what: 'goes column public.kept.moods', found: 'there', rows: 2, values: 1, through: 'old' },
    ]);
    expect(report.structure.map(({ kind, object }) => `${kind} ${object}`).sort()).toEqual([
      'constraint kept_a_fkey on public.kept',
      'schema old',
      'type old.mood',
      'view public.seen',
      'view public.seen_too',
    ]);
    expect(report.totals).toMatchObject({ tables: 2, columns: 2, rows: exact(10) });
  });

  test('TRUNCATE … CASCADE empties what refers to the table, and what refers to that', async () => {
    const report = await losses(
      `create table a (id int primary key); create table b (id int primary key, a int references a);
       create table c (b int references b); create table d (id int);
       insert into a values (1); insert into b values (1, 1); insert into c values (1), (1); insert into d values (1);`,
      ['truncate a cascade'],
    );
    expect(report.losses.map(short)).toEqual([
      { what: 'goes rows public.a', found: 'there', rows: 1 },
      { what: 'goes rows public.b', found: 'there', rows: 1, through: 'a' },
      { what: 'goes rows public.c', found: 'there', rows: 2, through: 'a' },
    ]);
  });

  test('a partitioned table is one table, with the rows and bytes of its partitions', async () => {
    const report = await losses(
      `create table p (id int, note text) partition by range (id);
       create table p1 partition of p for values from (0) to (100); create table p2 partition of p for values from (100) to (1000);
       insert into p select n, 'x' from generate_series(1, 500) n;`,
      ['drop table p', 'alter table p drop column note'],
    );
    const [{ size }] = (await database.query(
      `select (pg_total_relation_size('p1') + pg_total_relation_size('p2'))::int as size`,
    )) as [{ size: number }];
    expect(report.losses[0]).toMatchObject({ object: 'public.p', rows: exact(500), bytes: exact(size) });
    expect(report.losses[1]).toMatchObject({ object: 'public.p.note', values: exact(500) });
    expect(report.losses).toHaveLength(2);
  });

  test('what is not there now, what has no name before it runs, and what returns empty are said as such', async () => {
    const report = await losses(JOBS, [
      `create table comes_back (id int); alter table jobs add column gone text`,
      `drop table comes_back; do $$ begin execute 'drop table ' || quote_ident('x' || 1); end $$`,
    ]);
    expect(report.losses.map(short)).toEqual([{ what: 'goes table comes_back', found: 'notThere' }]);
    expect(report.returnsEmpty.map(({ seq, kind, object }) => [seq, kind, object])).toEqual([
      [1, 'column', 'jobs.gone'],
    ]);
    expect(report.unknown).toMatchObject([
      { seq: 2, why: expect.stringContaining('named only when it runs') as string },
    ]);
    expect(report.totals).toMatchObject({ tables: 0, rows: exact(0) });
  });

  test('what comes back and goes again on the same way is not said to return', async () => {
    const report = await losses(JOBS, [
      'create table again (id int); create table stays (id int); alter table jobs add column more text',
      'alter table again add column late text',
      'drop table public.again; alter table jobs drop column more',
    ]);
    expect(report.returnsEmpty.map(({ object }) => object)).toEqual(['stays']);
  });

  test('what the server computes is a definition: a generated column, a materialized view', async () => {
    const report = await losses(
      `create table a (id int, twice int generated always as (id * 2) stored); insert into a values (1);
       create materialized view m as select id from a;`,
      ['drop materialized view m; alter table a drop column twice'],
    );
    expect(report.losses).toEqual([]);
    expect(report.structure.map(({ kind, object }) => `${kind} ${object}`)).toEqual([
      'materializedView m',
      'column public.a.twice',
    ]);
  });

  test('names that have to be quoted, and a search path other than public, are found', async () => {
    const report = await losses(
      `create table "Odd Name" ("a column" int); insert into "Odd Name" values (1), (null);`,
      ['alter table "Odd Name" drop column "a column"'],
    );
    expect(report.losses.map(short)).toEqual([
      { what: 'goes column public."Odd Name"."a column"', found: 'there', rows: 2, values: 1 },
    ]);
  });
});

describe('figures that nobody can count', () => {
  test('a table above the limit is estimated from its statistics, and its size is exact', async () => {
    const report = await losses(`${JOBS} analyze jobs;`, ['alter table jobs drop column note', 'drop table jobs'], {
      exactBytes: 1_000,
    });
    expect(report.losses[0]).toMatchObject({
      rows: { value: 1_000, exact: false },
      values: { value: 250, exact: false },
    });
    expect(report.losses[1]).toMatchObject({ rows: { value: 1_000, exact: false }, bytes: { exact: true } });
    expect(report.totals.rows).toEqual({ value: 1_000, exact: false });
  });

  test('a policy that hides rows makes no loss look smaller: the figure is an estimate, and the report says why', async () => {
    const report = await losses(
      `${JOBS} analyze jobs; alter table jobs enable row level security; alter table jobs force row level security;
       create policy few on jobs using (id < 10);`,
      ['drop table jobs'],
    );
    expect(report.losses[0]).toMatchObject({ rows: { value: 1_000, exact: false } });
    expect(report.remarks).toEqual([
      'frontend: public.jobs hides rows from this role (row-level security, or no right to read): its figures are estimates',
    ]);
  });

  test('a table that somebody has locked is estimated; the others are counted', async () => {
    await losses(`${JOBS} create table other (id int); insert into other values (1); analyze jobs;`, ['select 1']);
    await withClient(database.url, async (client) => {
      await client.query('begin; lock table jobs in access exclusive mode');
      const report = await again(['drop table jobs', 'drop table other']);
      expect(report.losses.map(({ rows }) => rows)).toEqual([{ value: 1_000, exact: false }, exact(1)]);
      expect(report.remarks).toEqual([expect.stringContaining('public.jobs is locked by somebody') as string]);
    });
  });

  test('a server that cannot be asked leaves the words of the scripts', async () => {
    await losses(JOBS, ['select 1']);
    await withClient(database.superuserUrl, (client) =>
      client.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${database.role}'`),
    );
    const report = await again(['drop table jobs']);
    expect(report.losses.map(({ object }) => object)).toEqual([expect.stringMatching(/^(public\.)?jobs$/) as string]);
  });

  test('are counted on the standby where there is one, and on the primary where that does not answer', async () => {
    await losses(JOBS, ['select 1']);
    const behind = await createDatabase(); // in place of a standby: another database, with other figures
    await behind.query('create table jobs (id int, state text, note text); insert into jobs values (1)');
    const poolTo = (url: string) => createSessionPool({ url: () => Promise.resolve(url), settings: DEFAULT_SETTINGS });
    const [standby, nowhere] = [poolTo(behind.url), poolTo(behind.url.replace(behind.name, 'no_such_database'))];
    try {
      const there = await again(['drop table jobs'], {}, standby);
      expect(there).toMatchObject({ losses: [{ rows: exact(1) }], remarks: [] });
      const primary = await again(['drop table jobs'], {}, nowhere);
      expect(primary).toMatchObject({
        losses: [{ rows: exact(1_000) }],
        remarks: ['frontend: the standby could not be asked (no connection): counted on the primary'],
      });
    } finally {
      await Promise.all([standby.close(), nowhere.close()]);
      await behind.drop();
    }
  });
});
