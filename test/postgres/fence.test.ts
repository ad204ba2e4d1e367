import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { claimDatabase } from '../../src/step/claim.js';
import { applicationName, attemptOf, endBackend } from '../../src/step/fence.js';
import { closeGate, openClient, terminate, waitAt } from '../support/gate.js';
import { createRole, dropRole, expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';
import { until } from '../support/until.js';

let staged: Stage;
const clients: pg.Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.end().catch(() => undefined);
  if (staged === undefined) return;
  await expectNoLeaks(staged.database);
  await staged.close();
});

const SETUP = 'create table witness (at integer);';
const INSERT = [{ migration: '10001', text: 'insert into witness values (1)' }];
const GATED = [{ migration: '10001', text: `insert into witness values (1); ${waitAt(1)}` }];

async function session(application: string, options: pg.ClientConfig = {}): Promise<pg.Client & { pid: number }> {
  const client = await openClient(staged.database, { application_name: application, ...options });
  clients.push(client);
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return Object.assign(client, { pid: rows[0]?.pid as number });
}

async function isThere(pid: number): Promise<boolean> {
  return (await staged.database.asSuperuser('select from pg_stat_activity where pid = $1', [pid])).length > 0;
}

async function witnesses(): Promise<number> {
  return (await staged.database.query('select from witness')).length;
}

const lockOf = (stage: Stage) => stage.instance.ledger.lockKey(stage.instance.ledgerOptions);

describe('the name of a session', () => {
  test('has an inverse, and fits into the 63 bytes that Postgres keeps', () => {
    const token = randomUUID();
    const name = applicationName(token, 12_345, 123_456);
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(attemptOf(name)).toEqual({ token, attempt: 12_345 });
    expect(attemptOf('frontend')).toBeNull();
    expect(attemptOf(null)).toBeNull();
  });
});

describe('two attempts at one step', () => {
  test('with one token and one number: the second is the stale one, the first works on, and a repeat finds it done', async () => {
    staged = await stage(GATED, { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const first = staged.apply(1);
    const pid = await gate.waiter();
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    expect(await isThere(pid)).toBe(true);
    await gate.open();
    expect((await first).outcome.how).toBe('ran');
    expect((await staged.apply(1)).outcome.how).toBe('foundDone');
    expect(await witnesses()).toBe(1);
  });

  test('a later number ends the session of an earlier one that still works, and does the step once', async () => {
    staged = await stage(GATED, { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const first = staged.apply(1).catch((error: unknown) => error);
    const pid = await gate.waiter();
    const told: string[] = [];
    const second = staged.apply(1, { attempt: 2, progress: (what) => told.push(what) });
    expect(await first).toMatchObject({ type: FailureType.StepInterrupted });
    expect(told).toContain(`ending the session of an earlier attempt, process ${pid}`);
    await gate.waiter();
    await gate.open();
    expect((await second).outcome).toMatchObject({ how: 'ran', attempt: 2 });
    expect(await witnesses()).toBe(1);
  });

  test('a lower number never ends a higher one', async () => {
    staged = await stage(GATED, { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const newer = staged.apply(1, { attempt: 2 });
    await gate.waiter();
    await expect(staged.apply(1, { attempt: 1 })).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    await gate.open();
    await newer;
  });

  test('an earlier session that sits idle in its transaction, deaf to a cancel, is ended', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const frozen = await session(applicationName(staged.token, 1, 1));
    const { classId, objId } = lockOf(staged);
    await frozen.query(`begin; select pgunwind.take_locks(${classId}, ${objId}, false);
      select pgunwind.hold_fence('${staged.token}'); insert into witness values (9)`);
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
    expect(await isThere(frozen.pid)).toBe(false);
    expect(await witnesses()).toBe(1);
  });
});

describe('a session is ended', () => {
  test('although its script catches every cancel: it is terminated, gone, and only then the step is done, once', async () => {
    const deaf = `insert into witness values (1);
      do $$ begin
        while split_part(current_setting('application_name'), ':', 3) = '1' loop
          begin
            perform pg_sleep(60);
          exception when query_canceled then null;
          end;
        end loop;
      end $$`;
    staged = await stage([{ migration: '10001', text: deaf }], { setup: SETUP });
    const first = staged.apply(1).catch((error: unknown) => error);
    const pid = await until(
      async () =>
        (
          await staged.database.asSuperuser<{ pid: number }>(
            `select pid from pg_stat_activity where datname = $1 and wait_event = 'PgSleep'`,
            [staged.database.name],
          )
        )[0]?.pid,
      { describe: 'the script to sleep' },
    );
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
    expect(await isThere(pid)).toBe(false);
    expect(await first).toMatchObject({ type: FailureType.StepInterrupted });
    expect(await witnesses()).toBe(1);
  });

  const end = (target: Parameters<typeof endBackend>[1]) =>
    staged.instance.sessions.withSession(({ client }) => endBackend(client, target, (ms) => pause(ms)));
  const startOf = async (pid: number) => {
    const rows = await staged.database.asSuperuser<{ start: string }>(
      `select to_jsonb(backend_start) #>> '{}' as start from pg_stat_activity where pid = $1`,
      [pid],
    );
    return rows[0]?.start as string;
  };

  test('by pid and start time: whoever has the pid later is left alone', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const later = await session(applicationName(staged.token, 1, 1));
    const { pid, application } = { pid: later.pid, application: applicationName(staged.token, 1, 1) };
    await end({ pid, application, backendStart: '2001-01-01T00:00:00+00:00' });
    // Nor by its name, where it can be seen when it began: the one that could not be seen is gone.
    await end({ pid, application, backendStart: null });
    expect(await isThere(pid)).toBe(true);
    await end({ pid, application, backendStart: await startOf(pid) });
    expect(await isThere(pid)).toBe(false);
  });

  test("by pid and name where another role's start time cannot be seen", async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const { database } = staged;
    await database.asSuperuser(`grant pg_signal_backend to ${database.role}`);
    const role = await createRole(database, 'privileged');
    const name = applicationName(staged.token, 1, 1);
    const theirs = await session(name, { connectionString: database.urlAs(role) });
    await end({ pid: theirs.pid, application: applicationName(staged.token, 1, 2), backendStart: null });
    expect(await isThere(theirs.pid)).toBe(true);
    await end({ pid: theirs.pid, application: name, backendStart: null });
    expect(await isThere(theirs.pid)).toBe(false);
    await dropRole(database, role);
  });

  test('never in another database of the cluster, whichever of the two has issued the token in its name', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const neighbour = await stage(INSERT, { setup: SETUP });
    const there: pg.Client[] = [];
    try {
      for (const token of [staged.token, neighbour.token]) {
        const client = await openClient(neighbour.database, { application_name: applicationName(token, 1, 1) });
        there.push(client);
        await client.query('begin; select from witness');
      }
      const { classId, objId } = lockOf(neighbour);
      await there[0]?.query('select pg_advisory_lock(1885828462, 0), pg_advisory_lock($1, $2)', [classId, objId]);
      await staged.claim();
      expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
      for (const client of there) expect((await client.query('select 1 as alive')).rows).toEqual([{ alive: 1 }]);
    } finally {
      for (const client of there) await client.end();
      await neighbour.close();
    }
  });

  const INTENT = { unit: 1, kind: 'createIndex', table: null, indexes: [] };
  const BUILD = { migration: '10001', text: 'create index concurrently witness_at on witness (at)' };

  /** What a dead worker left: a session that holds both locks and still executes, and the row of its step. */
  async function orphan(step: { migration: string; seq: number; intent: unknown; backendStart?: string }) {
    const old = await session(applicationName(staged.token, 1, step.seq));
    const { classId, objId } = lockOf(staged);
    await staged.database.query(
      `insert into pgunwind.step (run, seq, leg, migration, direction, script, execution, state, attempt, token, pid, backend_start,
                                  xids, ledger_row, intent)
       select $1, q.seq, 0, q.migration, q.direction, q.script, q.execution, 'started', 1, $2, $3, $4,
              '{}', pgunwind.ledger_begin(q.migration, false), $5
         from pgunwind.plan_step q where q.migration = $6`,
      [staged.run, staged.token, old.pid, step.backendStart ?? (await startOf(old.pid)), step.intent, step.migration],
    );
    await old.query('select pg_advisory_lock(1885828462, 0), pg_advisory_lock($1, $2)', [classId, objId]);
    const ended = old.query('select pg_sleep(60)').catch((error: unknown) => error);
    await until(
      async () =>
        (
          await staged.database.asSuperuser(`select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`, [
            old.pid,
          ])
        ).length > 0,
      { describe: 'the orphan to execute its statement' },
    );
    return { pid: old.pid, ended };
  }

  test('unless it builds what this very step has intended', async () => {
    staged = await stage([BUILD], { setup: SETUP });
    const { pid, ended } = await orphan({ migration: '10001', seq: 1, intent: INTENT });
    await expect(staged.apply(1, { attempt: 2 })).rejects.toMatchObject({ type: FailureType.InstanceBusy });
    expect(await isThere(pid)).toBe(true);
    await terminate(staged.database, pid);
    expect(await ended).toBeInstanceOf(Error);
  });

  test.each([
    ['no intent', { intent: null }],
    ['the intent of a backend that had its pid before', { intent: INTENT, backendStart: '2001-01-01' }],
    ['the intent of what commits where nobody can look', { intent: { ...INTENT, kind: 'opaque' } }],
  ])('although it executes something for this step, with %s', async (_, row) => {
    staged = await stage([BUILD], { setup: SETUP });
    const { pid, ended } = await orphan({ migration: '10001', seq: 1, ...row });
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('resumed');
    expect(await isThere(pid)).toBe(false);
    expect(await ended).toMatchObject({ code: expect.stringMatching(/^57/) });
    expect(await staged.database.query(`select to_regclass('witness_at') is not null as built`)).toEqual([
      { built: true },
    ]);
  });

  test('although it builds what another step intended', async () => {
    staged = await stage([...INSERT, { ...BUILD, migration: '10000' }], { setup: SETUP });
    const { pid, ended } = await orphan({ migration: '10000', seq: 2, intent: INTENT });
    await expect(staged.apply(1, { attempt: 2 })).rejects.toMatchObject({ type: FailureType.DirtyDatabase });
    expect(await isThere(pid)).toBe(false);
    expect(await ended).toMatchObject({ code: expect.stringMatching(/^57/) });
  });
});

describe('a claim', () => {
  test('ends the sessions of earlier claims, whatever they do, and an older token can never commit', async () => {
    staged = await stage(GATED, { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const old = staged.token;
    const attempt = staged.apply(1).catch((error: unknown) => error);
    const pid = await gate.waiter();
    await staged.claim();
    expect(await isThere(pid)).toBe(false);
    expect(await attempt).toMatchObject({ type: FailureType.StepInterrupted });
    await gate.open();
    expect(await witnesses()).toBe(0);
    await expect(staged.apply(1, { token: old, attempt: 7 })).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    expect(await witnesses()).toBe(0);
    expect((await staged.apply(1)).outcome.how).toBe('ran');
  });

  test('is not issued while a transaction that compared the old token is under way, though nobody can name its session', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const nameless = await session('renamed by its script');
    await nameless.query(`begin; select pgunwind.hold_fence('${staged.token}'); insert into witness values (1)`);
    const old = staged.token;
    await expect(staged.claim()).rejects.toMatchObject({ type: FailureType.InstanceBusy, retryable: true });
    expect(await staged.database.query('select token from pgunwind.fence')).toEqual([{ token: old }]);
    await nameless.query('commit');
    expect(await staged.claim()).not.toBe(old);
    await expect(nameless.query(`select pgunwind.hold_fence('${old}')`)).rejects.toMatchObject({ code: 'UW005' });
  });

  test('ends nothing that this database did not issue a token to', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const alike = await session(applicationName(randomUUID(), 1, 1));
    const odd = await session('pgu:nonsense');
    const plain = await session('pgu');
    await staged.claim();
    for (const { pid } of [alike, odd, plain]) expect(await isThere(pid)).toBe(true);
    const { classId, objId } = lockOf(staged);
    await alike.query('select pg_advisory_lock(1885828462, 0), pg_advisory_lock($1, $2)', [classId, objId]);
    const busy = await staged.apply(1).catch((error: unknown) => error);
    expect(busy).toMatchObject({ type: FailureType.InstanceBusy });
    expect(String(busy).split(`process ${alike.pid}`), 'named once, though it holds both locks').toHaveLength(2);
    expect((await staged.check(1)).reasons).toMatchObject([{ code: 'lockHeld' }]);
    expect(await isThere(alike.pid)).toBe(true);
    for (const client of clients.splice(0)) await client.end();
  });

  test("another workflow's open run is refused, named, and taken over by decision only", async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const other = { run: staged.run, owner: { namespace: 'default', workflowId: 'unwind/other', runId: 'x' } };
    const waits = { waiting: () => undefined, pause: (ms: number) => pause(ms) };
    const refusal = await claimDatabase(staged.instance, { ...other, takeOver: false }, waits).catch(
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({
      type: FailureType.ClaimedByAnother,
      details: { workflowId: 'unwind/test', run: staged.run },
    });
    const token = await claimDatabase(staged.instance, { ...other, takeOver: true }, waits);
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    expect((await staged.apply(1, { token })).outcome.how).toBe('ran');
  });

  test('a second claim for a run that another run has replaced is refused', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    await staged.again(INSERT);
    expect(await staged.database.query('select state from pgunwind.run where run = $1', [staged.run])).toEqual([
      { state: 'superseded' },
    ]);
    await expect(staged.claim()).rejects.toMatchObject({ type: FailureType.JournalIncomplete });
  });
});

describe("the product's own migrator", () => {
  test('holding its lock keeps every step away, is named with process and application, and is not ended', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const { classId, objId } = lockOf(staged);
    const migrator = await session('frontend migrator');
    await migrator.query('select pg_try_advisory_lock($1, $2)', [classId, objId]);
    const busy = await staged.apply(1).catch((error: unknown) => error);
    expect(busy).toMatchObject({
      type: FailureType.InstanceBusy,
      retryable: true,
      details: { holders: [{ pid: migrator.pid, application: 'frontend migrator' }] },
    });
    expect(String(busy)).toContain(`process ${migrator.pid}`);
    await expect(staged.claim()).rejects.toMatchObject({ type: FailureType.InstanceBusy });
    const check = await staged.check(1);
    expect(check.reasons).toMatchObject([{ code: 'lockHeld', data: [{ application: 'frontend migrator' }] }]);
    expect(await isThere(migrator.pid)).toBe(true);
    await migrator.query('select pg_advisory_unlock_all()');
    expect((await staged.apply(1)).outcome.how).toBe('ran');
  });

  test('cannot take its lock while a step is under way', async () => {
    staged = await stage(GATED, { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1);
    await gate.waiter();
    const { classId, objId } = lockOf(staged);
    const migrator = await session('frontend migrator');
    const take = async () =>
      (await migrator.query<{ taken: boolean }>('select pg_try_advisory_lock($1, $2) as taken', [classId, objId]))
        .rows[0]?.taken;
    expect(await take()).toBe(false);
    await gate.open();
    await attempt;
    await until(take, { describe: 'the lock to be free again' });
    await migrator.query('select pg_advisory_unlock_all()');
  });
});

describe('a session of ours under another role', () => {
  test('that the ordinary role may not end is named, and nothing is changed', async () => {
    staged = await stage(INSERT, { setup: SETUP });
    const privileged = await openClient(staged.database, {
      connectionString: staged.database.superuserUrl,
      application_name: applicationName(staged.token, 1, 1),
    });
    clients.push(privileged);
    await privileged.query('select pg_advisory_lock(1885828462, 0)');
    const busy = await staged.apply(1, { attempt: 2 }).catch((error: unknown) => error);
    expect(busy).toMatchObject({ type: FailureType.InstanceBusy, retryable: true });
    expect(String(busy)).toContain('pg_terminate_backend');
    await privileged.end();
    clients.splice(0);
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
  });
});

test('a later claim of a run adds a newer timeline, never another cluster: the check goes on asking', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  await staged.database.query(`update pgunwind.server set system_identifier = 'another'`);
  await staged.claim();
  expect((await staged.check(1)).reasons.map((reason) => reason.code)).toEqual(['wrongServer']);
  await staged.database.query(`update pgunwind.run set ended_at = now(), state = 'aborted'`);
  const next = await staged.again([{ migration: '10001', text: 'select 1' }]);
  expect((await next.check(1)).reasons, 'a new run was started there on purpose').toEqual([]);
});

test('of two workflows that claim at once, the second sees the run of the first', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const claim = `select pgunwind.claim(gen_random_uuid(), 'default', 'unwind/rival', 7, 0, false, $1)`;
  await expect(staged.database.query(claim, [false])).rejects.toMatchObject({ code: 'UW009' });
  expect(await staged.database.query('select state from pgunwind.run')).toEqual([{ state: 'open' }]);
});

test('a boundary is not closed over steps that the journal does not call done', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const close = () =>
    staged.database.query(`select pgunwind.close_leg($1, 0, 'v1', $2, null, 7, 0) ->> 'found' as found`, [
      staged.run,
      staged.token,
    ]);
  await expect(close()).rejects.toMatchObject({ code: 'UW008' });
  await staged.apply(1);
  expect(await close()).toEqual([{ found: 'written' }]);
});
