import { afterEach, describe, expect, test } from 'vitest';
import { endRun } from '../../src/journal/runs.js';
import { KEYSET, LETTERS, stageData, type DataStage } from '../support/data-stage.js';
import { expectNoLeaks } from '../support/postgres.js';

/** As Sourcegraph has them (reference sourcegraph-migrator.md §3.4), in the columns that matter here. */
const TABLES = `
  create table out_of_band_migrations (
    id serial primary key, team text not null, component text not null, description text not null,
    progress double precision not null default 0, created timestamptz not null default now(), last_updated timestamptz,
    non_destructive boolean not null, apply_reverse boolean not null default false,
    introduced_version_major integer not null, introduced_version_minor integer not null,
    deprecated_version_major integer, deprecated_version_minor integer, metadata jsonb not null default '{}',
    check (progress >= 0 and progress <= 1));
  create table out_of_band_migrations_errors (
    id serial primary key, migration_id integer not null references out_of_band_migrations on delete cascade,
    message text not null check (message <> ''), created timestamptz not null default now());
  insert into out_of_band_migrations (id, team, component, description, progress, non_destructive, introduced_version_major, introduced_version_minor)
  values (7, 't', 'c', 'seven', 0.5, false, 3, 1), (8, 't', 'c', 'eight', 0.5, false, 3, 1);
  create table seen (at serial, progress float, apply_reverse boolean);
  create function see() returns trigger language plpgsql as
    'begin insert into public.seen (progress, apply_reverse) values (new.progress, new.apply_reverse); return null; end';
  create trigger see after update on out_of_band_migrations for each row execute function see();`;

let staged: DataStage;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
});

const record = async (id: number) =>
  (
    await staged.database.query(
      `select progress, apply_reverse as reverse, last_updated is not null as updated from out_of_band_migrations where id = $1`,
      [id],
    )
  )[0];

describe("the product's own record of a data migration", () => {
  test('says reverse while it is reversed, each progress that was measured, and at the end forward again', async () => {
    staged = await stageData({}, { setup: LETTERS(1_000) + TABLES });
    await staged.run1({ limits: { firstRows: 100, mostRows: 100 } });
    expect(await staged.database.query('select progress, apply_reverse from seen order by at')).toEqual([
      { progress: 0.5, apply_reverse: true }, // begun
      { progress: 1, apply_reverse: true }, // measured: the data wins over what the record said
      { progress: 0, apply_reverse: true },
      { progress: 0, apply_reverse: false }, // done
    ]);
    expect(await record(7)).toEqual({ progress: 0, reverse: false, updated: true });
    expect(await record(8)).toEqual({ progress: 0.5, reverse: false, updated: false });
  });

  test('is turned forward where a data migration is carried forward', async () => {
    staged = await stageData({}, { setup: LETTERS(10) + TABLES, act: 'forward' });
    await staged.database.query('update out_of_band_migrations set apply_reverse = true where id = 7');
    await staged.run1({ order: { queries: { ...KEYSET, verify: null } } });
    expect(await record(7)).toEqual({ progress: 1, reverse: false, updated: true });
  });

  test('gets the errors of failed batches, the newest hundred of them', async () => {
    const setup = `${LETTERS(10) + TABLES} alter table letters add check (id <> 7 or text = upper(text));
      insert into out_of_band_migrations_errors (migration_id, message, created) select 7, 'old', now() - interval '1 day' from generate_series(1, 100);`;
    staged = await stageData({}, { setup });
    await expect(staged.run1()).rejects.toMatchObject({ type: 'DataFailed' });
    const rows = await staged.database.query(
      `select migration_id as id, message like '%letters_check%(SQLSTATE 23514)' as ours, count(*)::int from out_of_band_migrations_errors group by 1, 2`,
    );
    const failed = (await staged.database.query('select from pgunwind.data_failure')).length;
    expect(failed).toBeGreaterThan(1);
    expect(rows).toEqual(
      expect.arrayContaining([
        { id: 7, ours: true, count: failed },
        { id: 7, ours: false, count: 100 - failed },
      ]),
    );
  });

  test('does not say reverse any more when a run is given up halfway, or another workflow has taken over', async () => {
    const setup = `${LETTERS(10) + TABLES} alter table letters add check (id <> 7 or text = upper(text));`;
    staged = await stageData({}, { setup });
    await expect(staged.run1()).rejects.toMatchObject({ type: 'DataFailed' });
    expect(await record(7)).toMatchObject({ reverse: true });
    await staged.instance.sessions.withSession(({ client }) => endRun(client, staged.run, 'aborted'));
    expect(await record(7)).toMatchObject({ progress: 1, reverse: false });

    await staged.database.query('update out_of_band_migrations set apply_reverse = true where id = 7');
    await staged.database.query(`update pgunwind.run set ended_at = null, state = 'open'`);
    const other = await staged.again([]);
    await other.claim();
    expect(await record(7)).toMatchObject({ reverse: false });
  });

  test.each([
    ['without the table', ''],
    ['without the row', `${TABLES} delete from out_of_band_migrations where id = 7;`],
  ])('is not missed %s', async (_, tables) => {
    staged = await stageData({}, { setup: LETTERS(10) + tables });
    expect(await staged.run1()).toMatchObject({ rows: 10, progress: 0 });
  });

  test('is not looked for under an id that is no number', async () => {
    staged = await stageData({}, { setup: LETTERS(10) + TABLES });
    await staged.database.query(`update pgunwind.plan_data set id = '7a'`);
    expect(await staged.run1({ order: { id: '7a' } })).toMatchObject({ rows: 10, progress: 0 });
    expect(await record(7)).toEqual({ progress: 0.5, reverse: false, updated: false });
  });
});
