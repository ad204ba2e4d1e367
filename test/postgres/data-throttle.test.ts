import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import type { BatchSite } from '../../src/data/batch.js';
import { DATA_LIMITS, type DataLimits } from '../../src/data/order.js';
import { createThrottle } from '../../src/data/throttle.js';
import { startEmbeddedPostgres } from '../../src/postgres/embedded.js';
import { createSessionPool } from '../../src/postgres/session-pool.js';
import { DEFAULT_SETTINGS } from '../../src/postgres/session.js';
import { KEYSET, LETTERS, movedMoreThanOnce, stageData, type DataStage } from '../support/data-stage.js';
import { closeGate, openClient } from '../support/gate.js';
import { expectNoLeaks, queryAt } from '../support/postgres.js';
import { startStandby } from '../support/standby.js';
import { until } from '../support/until.js';

let staged: DataStage | null = null;
afterEach(async () => {
  if (staged === null) return;
  await expectNoLeaks(staged.database);
  await staged.close();
  staged = null;
});

const BATCHES = { firstRows: 100, mostRows: 100 };
const told = (words: string) => staged?.beats.some(({ doing }) => doing.includes(words)) === true;
const batches = async () =>
  (await staged?.database.query('select batches::int from pgunwind.data_step'))?.[0]?.['batches'];

describe('maxLoad', () => {
  const LOAD = `create table load (value numeric not null); insert into load values (90);`;
  const maxLoad = { query: 'select value from load', limit: 50 };

  test('lets batches wait, says why, and lets them go on when the load is low again', async () => {
    staged = await stageData({}, { setup: LETTERS(1_000) + LOAD });
    const run = staged.run1({ limits: { ...BATCHES, maxLoad } });
    await until(() => told('the load is 90, more than 50 (options.data.maxLoad)'), { describe: 'the reason to wait' });
    expect(await batches()).toBe(0);
    await staged.database.query('update load set value = 50');
    expect(await run).toMatchObject({ rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('is asked again between batches, at most once a second', async () => {
    // The first batch raises the load, and each takes 0.2 s: the look a second later finds it, when some are done.
    const batch = KEYSET.batch.replace(
      'select (select count(*) from seen) as rows',
      `, raised as (update load set value = 90 where value = 0)
       select (select count(*) from seen) as rows, pg_sleep(0.2)`,
    );
    staged = await stageData({ batch }, { setup: `${LETTERS(1_000) + LOAD} update load set value = 0;` });
    const doneAtPause: unknown[] = [];
    const pause = async () => {
      doneAtPause.push(await batches());
      await staged?.database.query('update load set value = 1');
    };
    expect(await staged.run1({ limits: { ...BATCHES, maxLoad }, pause })).toMatchObject({ rows: 1_000, progress: 0 });
    expect(doneAtPause).toHaveLength(1);
    expect(doneAtPause[0]).toBeGreaterThan(1);
    expect(doneAtPause[0]).toBeLessThan(11);
  });

  test.each([
    ['fails', 'select 1 / 0', /failed \(SQLSTATE 22012\)/],
    ['gives no row', 'select 1 where false', /did not give one number/],
    ['gives a word', `select 'high'`, /did not give one number/],
    ['gives null', 'select null::int', /did not give one number/],
    ['writes', 'delete from letters returning 1', /failed \(SQLSTATE 25006\)/],
  ])('that %s parks before a batch is done', async (_, query, words) => {
    staged = await stageData();
    await expect(staged.run1({ limits: { maxLoad: { query, limit: 1 } } })).rejects.toMatchObject({
      type: FailureType.DataFailed,
      message: expect.stringMatching(words) as string,
    });
    expect(await batches()).toBe(0);
  });

  test('ends at once when the attempt is cancelled while it waits', async () => {
    staged = await stageData({}, { setup: LETTERS(10) + LOAD });
    const stop = new AbortController();
    const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal });
    const run = staged.run1({ limits: { maxLoad }, signal: stop.signal, pause });
    await until(() => told('the load is 90'), { describe: 'the reason to wait' });
    stop.abort();
    await expect(run).rejects.toThrow();
  });
});

describe('sessions that wait for the locks of a batch', () => {
  async function disturbed(limits: Partial<DataLimits>) {
    const batch = `${KEYSET.batch}, case when (select count(*) from seen) >= 0 then pg_advisory_xact_lock(77, 1) end`;
    const own = await stageData({ batch }, { settings: { lockTimeoutMs: 0 } });
    staged = own;
    const gate = await closeGate(own.database, 1);
    const other = await openClient(own.database);
    const pauses: number[] = [];
    const pause = async (ms: number) => void pauses.push(ms);
    try {
      const run = own.run1({ limits: { ...BATCHES, ...limits }, pause });
      await gate.waiter();
      const update = other.query('update letters set text = text where id = 1');
      await until(
        async () =>
          (
            await own.database.query(`select from pg_locks l join pg_stat_activity a using (pid)
             where not l.granted and a.application_name = 'a session of the test' and a.datname = current_database()`)
          ).length,
        { describe: 'a session that waits for the batch' },
      );
      await gate.open();
      await update;
      return { outcome: await run, pauses };
    } finally {
      await gate.open().catch(() => undefined);
      await other.end();
    }
  }

  test('make the next batches smaller, after a pause, and they grow again', async () => {
    const { outcome, pauses } = await disturbed({ targetMs: 60_000 });
    expect(outcome).toMatchObject({ rows: 1_000, progress: 0 });
    expect(pauses).toHaveLength(1);
    expect(pauses[0]).toBeGreaterThanOrEqual(100);
    const sizes = staged!.beats.filter(({ doing }) => doing === 'moving rows').map(({ batchRows }) => batchRows);
    expect(sizes[0]).toBe(50);
    for (const [at, size] of sizes.slice(1).entries()) {
      expect(size).toBeGreaterThanOrEqual(sizes[at]!);
      expect(size).toBeLessThanOrEqual(sizes[at]! * 1.1 + 1);
    }
    expect(sizes.at(-1)).toBe(100);
    expect(told('a session waited for locks of the last batch')).toBe(true);
  });

  test('are left to themselves where that is asked for', async () => {
    const { outcome, pauses } = await disturbed({ pauseWhenLocksWait: false });
    expect(outcome).toMatchObject({ batches: 11, rows: 1_000 });
    expect(pauses).toEqual([]);
  });
});

describe('maxReplicationLagSeconds', () => {
  test('without a standby lets every batch pass', async () => {
    staged = await stageData();
    expect(await staged.run1({ limits: { ...BATCHES, maxReplicationLagSeconds: 0 } })).toMatchObject({ rows: 1_000 });
  });

  test('lets batches wait for a standby that does not replay, names it, and refuses to guess for a role that may not see it', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-lag-'));
    await chmod(folder, 0o755);
    const primary = await startEmbeddedPostgres({ dataDir: path.join(folder, 'primary') });
    onTestFinished(async () => {
      await primary.stop();
      await rm(folder, { recursive: true, force: true });
    });
    const standby = await startStandby(primary, path.join(folder, 'standby'));
    onTestFinished(() => standby.stop());
    const url = primary.superuserUrl;
    await until(async () => (await queryAt(url, `select from pg_stat_replication where state = 'streaming'`)).length, {
      within: 30_000,
      describe: 'a standby that streams',
    });
    const doing: string[] = [];
    const passing = async (role: string) => {
      const as = url.replace('//postgres:', `//${role}:`);
      const sessions = createSessionPool({ url: () => Promise.resolve(as), settings: DEFAULT_SETTINGS });
      try {
        await sessions.withSession((session) => {
          const site = { session, order: { database: 'frontend' }, doing: (what: string) => void doing.push(what) };
          const context = { tell: () => undefined, pause: () => sleep(50), signal: new AbortController().signal };
          const limits = { ...DATA_LIMITS, maxReplicationLagSeconds: 1 };
          return createThrottle(site as unknown as BatchSite, context, limits).pass(); // as: it reads no more of it
        });
      } finally {
        await sessions.close();
      }
    };
    await passing('postgres');
    expect(doing).toEqual([]);

    await queryAt(standby.superuserUrl, 'select pg_wal_replay_pause()');
    await queryAt(url, 'create table moved (id int); insert into moved select generate_series(1, 1000)');
    await until(
      async () => {
        await queryAt(url, 'insert into moved values (0)'); // the lag is that of what was sent, so something must be
        return (await queryAt(url, `select from pg_stat_replication where replay_lag > interval '1.5 seconds'`)).length;
      },
      { within: 30_000, describe: 'the standby to lag behind' },
    );
    const passed = passing('postgres');
    await until(() => doing.length > 0, { describe: 'the reason to wait' });
    expect(doing[0]).toMatch(/^waiting for 0 s: the standby "[^"]+" replays \d+ s behind, more than 1 s/);
    await queryAt(standby.superuserUrl, 'select pg_wal_replay_resume()');
    await passed;

    await queryAt(url, `create role plain login password '${primary.password}'`);
    await expect(passing('plain')).rejects.toMatchObject({
      type: FailureType.DataFailed,
      message: expect.stringContaining('Grant pg_monitor') as string,
    });
  });
});
