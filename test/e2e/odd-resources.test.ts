import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { closeGate, openClient } from '../support/gate.js';
import type { TestRun } from '../support/engine.js';
import { queryAt, serverMajor, serverUrl } from '../support/postgres.js';
import { until } from '../support/until.js';
import { oddShops, type OddShop } from './odd-shop.js';

// The server lacks something, or is set against us. Nothing parks: the attempt says what is missing and is repeated, and the run
// ends by itself once there is room.

const shops = oddShops();

const pendingOf = async (run: TestRun) => (await run.handle.describe()).raw.pendingActivities ?? [];

/** The words of the last failed attempt, as "temporal workflow describe" and the Web UI show them. */
const refusalOf = (run: TestRun, words: RegExp) =>
  until(
    async () =>
      (await pendingOf(run)).map(({ lastFailure }) => lastFailure?.message ?? '').find((text) => words.test(text)),
    { describe: `a failed attempt that says ${words}`, within: 30_000 },
  );

const MOUNTABLE = mountsAllowed();

describe.skipIf(!MOUNTABLE)('a full disk (skipped where nobody may mount a small one)', () => {
  test('is told at the step that meets it; with room again the run ends by itself', async () => {
    const disk = smallDisk(48);
    const space = `small_${path.basename(disk).split('-').at(-1)?.toLowerCase()}`;
    onTestFinished(async () => {
      await queryAt(serverUrl(), `drop tablespace if exists "${space}"`);
    });
    const it = await shops.open();
    await it.database.asSuperuser(`create tablespace "${space}" location '${disk}'`);
    onTestFinished(async () => {
      await queryAt(serverUrl(), `drop tablespace ${space}`);
    });
    await it.database.asSuperuser(`alter table heap set tablespace "${space}"`);
    writeFileSync(path.join(disk, 'filler'), Buffer.alloc(40 * 1024 * 1024));
    await it.database.query('insert into hold values (20000)'); // rows of a kilobyte that the script of 5 writes
    const run = await it.start();
    const words = await refusalOf(run, /SQLSTATE/);
    expect(words).toMatch(
      /^The server lacked resources at statement \d of migration 5 \(down\) on "frontend" \(SQLSTATE 53100\)\. The step was rolled back whole/,
    );
    expect((await run.status()).state).toBe('running');
    expect(await it.witnessed()).toEqual(['6 down']);
    expect(await it.database.query('select distinct sqlstate from pgunwind.failure')).toEqual([{ sqlstate: '53100' }]);
    rmSync(path.join(disk, 'filler'));
    await run.unaided();
    await it.database.asSuperuser('alter table heap set tablespace pg_default');
    await it.expectEnd(run);
    expect(await it.database.query('select count(*)::integer as rows from heap')).toEqual([{ rows: 20000 }]);
  });
});

describe('no connection left', () => {
  const limit = (it: OddShop, to: number) =>
    queryAt(serverUrl(), `alter database ${it.database.name} connection limit ${to}`);

  test('is told with the limit that was met; with room again the run ends by itself', async () => {
    const it = await shops.open();
    const run = await it.parkedBefore(4);
    await it.engine.restart();
    await othersGone(it, []);
    const somebody = await openClient(it.database);
    await limit(it, 1);
    await it.database.asSuperuser('delete from hold');
    await run.update('retryStep');
    const words = await refusalOf(run, /53300/);
    expect(words).toMatch(
      /has no connection left for us \(SQLSTATE 53300, too many connections for database.*end sessions that nobody needs/,
    );
    expect((await run.status()).state).toBe('running');
    await somebody.end();
    await limit(it, -1);
    await it.expectEnd(run);
  });

  test('for the one that watches a step does the step no harm', async () => {
    const it = await shops.open();
    const gate = await closeGate(it.database, 5);
    const run = await it.start();
    const pid = await gate.waiter();
    await limit(it, 1);
    await othersGone(it, [pid]);
    await until(
      async () => {
        const [step] = await pendingOf(run);
        const beat = Buffer.from(step?.heartbeatDetails?.payloads?.[0]?.data ?? []).toString();
        return Number((JSON.parse(beat || '{}') as { seconds?: number }).seconds) >= 4;
      },
      { describe: 'four seconds of a step that nobody can watch', within: 20_000 },
    );
    expect((await pendingOf(run))[0]).toMatchObject({ activityId: 'frontend-0002-down', attempt: 1 });
    await gate.open();
    await until(async () => (await it.database.asSuperuser(`select from witness where what = '5 down'`)).length === 1, {
      describe: 'the step to be done by that very attempt',
    });
    await limit(it, -1);
    await it.expectEnd(run);
    const [step] = await it.database.query<{ attempt: number; pid: number }>(
      'select attempt, pid from pgunwind.step where seq = 2',
    );
    expect(step).toEqual({ attempt: 1, pid });
  });

  /** Sessions of ours and of the test, but not those given and the one that waits at a gate with its holder. */
  async function othersGone(it: OddShop, keep: readonly number[]): Promise<void> {
    await it.database.asSuperuser(
      `select pg_terminate_backend(a.pid) from pg_stat_activity a
        where a.datname = current_database() and a.pid <> pg_backend_pid() and a.pid <> all ($1)
          and not exists (select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory')`,
      [keep],
    );
  }
});

test('limits that role and database set are overridden, and plan and status say so', async () => {
  const it = await shops.open();
  const { name, role } = it.database;
  const settings = [
    `alter role ${role} set statement_timeout = '900ms'`,
    `alter role ${role} in database ${name} set lock_timeout = '7ms'`,
    `alter role ${role} in database ${name} set idle_in_transaction_session_timeout = '700ms'`,
    `alter database ${name} set default_transaction_read_only = on`,
    ...(serverMajor() >= 17 ? [`alter database ${name} set transaction_timeout = '1s'`] : []),
  ];
  const reset = async () => {
    await queryAt(serverUrl(), `alter role ${role} reset all`);
    await queryAt(serverUrl(), `alter role ${role} in database ${name} reset all`);
    await queryAt(serverUrl(), `alter database ${name} reset all`);
  };
  onTestFinished(reset);
  const gate = await closeGate(it.database, 5);
  for (const statement of settings) await queryAt(serverUrl(), statement);

  const run = await it.start();
  const pid = await gate.waiter();
  await until(
    () =>
      it.database
        .asSuperuser(`select from pg_stat_activity where pid = $1 and now() - xact_start > interval '1300 ms'`, [pid])
        .then((rows) => rows.length),
    { describe: 'a transaction older than any of the limits' },
  );
  await gate.open();
  await run.unaided();
  const said = [
    `frontend: default_transaction_read_only = on is set for the database; the sessions of this run override it (default_transaction_read_only = off).`,
    `frontend: idle_in_transaction_session_timeout = 700ms is set for the role "${role}" in the database; the sessions of this run override it (idle_in_transaction_session_timeout = 1min).`,
    `frontend: lock_timeout = 7ms is set for the role "${role}" in the database; the sessions of this run override it (lock_timeout = 1500ms).`,
    `frontend: statement_timeout = 900ms is set for the role "${role}"; the sessions of this run override it (statement_timeout = 0).`,
    ...(serverMajor() >= 17
      ? [
          `frontend: transaction_timeout = 1s is set for the database; the sessions of this run override it (transaction_timeout = 0).`,
        ]
      : []),
  ];
  expect((await run.report).warnings.filter((text) => text.startsWith('frontend: '))).toEqual(said);
  await reset();
  await it.expectEnd(run);
});

/** A file system of that many megabytes that the server may write to. */
function smallDisk(megabytes: number): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'pg-unwind-small-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  onTestFinished(() => {
    execFileSync('umount', [folder]);
    rmdirSync(folder);
  });
  chmodSync(folder, 0o777);
  execFileSync('chown', ['nobody', folder]); // whom the embedded server runs as where we are root
  return folder;
}

function mountsAllowed(): boolean {
  const folder = mkdtempSync(path.join(tmpdir(), 'pg-unwind-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(folder);
  }
}
