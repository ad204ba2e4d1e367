import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { pino } from 'pino';
import type { ActivityDeps } from '../../src/activities/deps.js';
import { createRecordRelease } from '../../src/activities/record-release.js';
import type { BlockerPolicy } from '../../src/contract/blockers.js';
import { FailureType, type UnwindError } from '../../src/contract/errors.js';
import { createSessionPool } from '../../src/postgres/session-pool.js';
import { DEFAULT_SETTINGS } from '../../src/postgres/session.js';
import { applyStep } from '../../src/step/apply.js';
import { applicationName } from '../../src/step/fence.js';
import { openClient } from '../support/gate.js';
import { createRole, dropRole, expectNoLeaks, IN_THIS_DATABASE } from '../support/postgres.js';
import { stage, type Stage, type StagedStep } from '../support/stage.js';
import { until } from '../support/until.js';

let staged: Stage;
const clients: pg.Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.end().catch(() => undefined);
  await expectNoLeaks(staged.database);
  await staged.close();
});

const SETUP = 'create table jobs (id integer); insert into jobs values (1);';
const ALTER: StagedStep = { migration: '10001', text: 'alter table jobs add column note text' };
const BUILD: StagedStep = { migration: '10001', text: 'create index concurrently jobs_id on jobs (id)' };
const LONG_LOOK = 30_000;

async function stageWith(blockers: BlockerPolicy, step: StagedStep = ALTER): Promise<void> {
  staged = await stage([step], { setup: SETUP, blockers });
}

interface Other extends pg.Client {
  pid: number;
}

async function other(application = 'a report', options: pg.ClientConfig = {}): Promise<Other> {
  const client = await openClient(staged.database, { application_name: application, ...options });
  clients.push(client);
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return Object.assign(client, { pid: rows[0]?.pid as number });
}

/** A session that read the table and forgot its transaction. */
async function idle(application?: string, options?: pg.ClientConfig): Promise<Other> {
  const client = await other(application, options);
  await client.query('begin; select from jobs');
  return client;
}

/** A session whose query on the table takes long; the promise brings what became of it. */
async function working(): Promise<{ client: Other; ended: Promise<unknown> }> {
  const client = await other('a long report');
  const ended = client
    .query(`select pg_sleep(${LONG_LOOK / 1_000}) from jobs`)
    .then(() => 'ended by itself')
    .catch((error: unknown) => error);
  await until(
    async () =>
      (await staged.database.asSuperuser(`select from pg_locks where pid = $1 and relation is not null`, [client.pid]))
        .length > 0,
    { describe: 'the long query to hold its lock' },
  );
  return { client, ended };
}

const isThere = async (pid: number) =>
  (await staged.database.asSuperuser('select from pg_stat_activity where pid = $1', [pid])).length > 0;

const recorded = () =>
  staged.database.query<{ pid: number; policy: string; application: string; state: string; seq: number }>(
    'select pid, policy, application, state, seq from pgunwind.ended_session order by id',
  );

async function failure(): Promise<UnwindError> {
  const error = await staged.apply(1).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ type: FailureType.StepInterrupted, retryable: true });
  return error as UnwindError;
}

describe('the policy wait', () => {
  test('ends nobody; error and heartbeat name who is in the way, since when, and for what', async () => {
    await stageWith('wait');
    const blocker = await idle();
    const told: string[] = [];
    const error = await staged.apply(1, { progress: (what) => told.push(what) }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      type: FailureType.StepInterrupted,
      retryable: true,
      retryAfterMs: 2_000,
      details: {
        sqlstate: '55P03',
        blockers: [{ pid: blocker.pid, application: 'a report', user: staged.database.role }],
      },
    });
    for (const text of [String(error), told.join('\n')]) {
      expect(text).toContain('AccessExclusiveLock on public.jobs, held up by "a report"');
      expect(text).toContain(`process ${blocker.pid}, user ${staged.database.role}`);
      expect(text).toMatch(/idle in transaction, in its transaction since \d{4}-/);
      expect(text).not.toContain('select');
    }
    expect(await isThere(blocker.pid)).toBe(true);
    expect(await recorded()).toEqual([]);
    await blocker.query('rollback');
    expect((await staged.apply(1, { attempt: 2 })).outcome).not.toHaveProperty('endedSessions');
  });

  test('lets a reader that queues behind us wait no longer than lock_timeout and a little', async () => {
    await stageWith('wait');
    await idle();
    const reader = await other('a reader');
    const attempt = failure();
    const waiting = `select from pg_locks where relation = 'jobs'::regclass and not granted and ${IN_THIS_DATABASE}`;
    await until(async () => (await staged.database.query(waiting)).length > 0, { describe: 'our statement to wait' });
    const began = performance.now();
    await reader.query('select from jobs');
    expect(performance.now() - began).toBeLessThan(staged.instance.lockTimeoutMs + 1_000);
    await attempt;
  });
});

describe('the policy terminateIdle', () => {
  test('ends a session that sits idle in its transaction, says so, and the step goes on in the same attempt', async () => {
    await stageWith('terminateIdle');
    const blocker = await idle();
    const bystander = await other('a bystander');
    await bystander.query('begin; select 1');
    const heard: string[] = [];
    const { outcome } = await staged.apply(1, { onEnded: (_, words) => heard.push(words) });
    expect(outcome).toMatchObject({
      how: 'ran',
      endedSessions: [{ pid: blocker.pid, application: 'a report', user: staged.database.role }],
    });
    expect(heard).toHaveLength(1);
    expect(await isThere(blocker.pid)).toBe(false);
    expect(await isThere(bystander.pid)).toBe(true);
    expect(await recorded()).toEqual([
      { pid: blocker.pid, policy: 'terminateIdle', application: 'a report', state: 'idle in transaction', seq: 1 },
    ]);
  });

  test('waits for one that works', async () => {
    await stageWith('terminateIdle');
    const { client } = await working();
    const error = await failure();
    expect(error.message).toContain('not idle in a transaction, and waited for');
    expect(await isThere(client.pid)).toBe(true);
    expect(await recorded()).toEqual([]);
    await staged.database.asSuperuser('select pg_terminate_backend($1)', [client.pid]);
  });

  test('ends who holds up a concurrent build, which waits without a limit', async () => {
    await stageWith('terminateIdle', BUILD);
    const blocker = await other();
    await blocker.query('begin; insert into jobs values (2)');
    const told: string[] = [];
    const { outcome } = await staged.apply(1, { progress: (what) => told.push(what) });
    expect(outcome).toMatchObject({ how: 'ran', endedSessions: [{ pid: blocker.pid }] });
    expect(
      await staged.database.query(`select indisvalid as valid from pg_index where indexrelid = 'jobs_id'::regclass`),
    ).toEqual([{ valid: true }]);
  });
});

describe('the policy terminate', () => {
  test('names a prepared transaction, which has no session', async () => {
    const slots = await stageWith('terminate').then(() =>
      staged.database.asSuperuser<{ n: string }>(`select current_setting('max_prepared_transactions') as n`),
    );
    if (slots[0]?.n === '0') return; // the server has none to offer
    const gid = `left over ${staged.database.name}`;
    const client = await other();
    await client.query(`begin; select from jobs; prepare transaction '${gid}'`);
    const error = await failure();
    await client.query(`rollback prepared '${gid}'`);
    expect(error.message).toContain(`the prepared transaction "${gid}"`);
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
  });

  test('ends one that works too', async () => {
    await stageWith('terminate');
    const { client, ended } = await working();
    expect((await staged.apply(1)).outcome).toMatchObject({ how: 'ran', endedSessions: [{ pid: client.pid }] });
    expect(await ended).toMatchObject({ code: '57P01' });
    expect(await recorded()).toMatchObject([{ pid: client.pid, policy: 'terminate', state: 'active' }]);
  });

  test('never ends a session that carries a token issued here', async () => {
    await stageWith('terminate');
    const ours = await idle(applicationName(staged.token, 1, 7));
    const error = await failure();
    expect(error.message).toContain('a session of pg-unwind, left alone');
    expect(await isThere(ours.pid)).toBe(true);
  });

  test("never ends another role's session that ours may not signal, and says what to grant; with the grant it does", async () => {
    await stageWith('terminate');
    const { database } = staged;
    const role = await createRole(database, 'app');
    await database.query(`grant select on jobs to ${role}`);
    const blocker = await idle('the application', { connectionString: database.urlAs(role) });
    const error = await failure();
    expect(error.message).toContain('grant pg_signal_backend');
    expect(error.message).toContain(`user ${role}`);
    expect(await isThere(blocker.pid)).toBe(true);
    await database.asSuperuser(`grant pg_signal_backend to ${database.role}`);
    expect((await staged.apply(1, { attempt: 2 })).outcome).toMatchObject({
      endedSessions: [{ pid: blocker.pid, user: role }],
    });
    expect(await isThere(blocker.pid)).toBe(false);
    await dropRole(database, role);
  });

  test("names a superuser's session, which no grant lets it end", async () => {
    await stageWith('terminate');
    await staged.database.asSuperuser(`grant pg_signal_backend to ${staged.database.role}`);
    const blocker = await idle('an admin', { connectionString: staged.database.superuserUrl });
    const error = await failure();
    expect(error.message).toContain("a superuser's session, which our role may not end");
    expect(await isThere(blocker.pid)).toBe(true);
  });
});

describe('a privileged step', () => {
  test('is watched and cancelled under the role that it runs as', async () => {
    await stageWith('wait', { migration: '10001', text: 'alter table jobs add column note text; select pg_sleep(60)' });
    const { database } = staged;
    const role = await createRole(database, 'admin', `in role ${database.role}`);
    const privileged = createSessionPool({
      url: () => Promise.resolve(database.urlAs(role)),
      settings: DEFAULT_SETTINGS,
      warm: 1,
    });
    const blocker = await idle();
    const told: string[] = [];
    const cancellation = new AbortController();
    const attempt = (number: number) =>
      applyStep(
        { ...staged.instance, privileged },
        { ...staged.order(1, number), privileged: true },
        {
          check: null,
          progress: (what) => told.push(what),
          working: () => undefined,
          pause: (ms) => pause(ms),
          signal: cancellation.signal,
        },
      ).catch((error: unknown) => error);
    expect(await attempt(1)).toMatchObject({ details: { blockers: [{ pid: blocker.pid }] } });
    await blocker.query('rollback');
    const sleeping = attempt(2);
    await until(() => told.some((what) => what.includes('PgSleep')), {
      describe: 'the look to see what the step does',
    });
    cancellation.abort();
    expect(await sleeping).toMatchObject({ details: { sqlstate: '57014' } });
    await privileged.close();
    await dropRole(database, role);
  });
});

describe("a run's own policy, and the migration's flag", () => {
  test("the run's takes the place of the instance's, both ways", async () => {
    await stageWith('terminate');
    const blocker = await idle();
    await expect(staged.apply(1, { blockers: 'wait' })).rejects.toMatchObject({ type: FailureType.StepInterrupted });
    expect(await isThere(blocker.pid)).toBe(true);
    expect((await staged.apply(1, { attempt: 2 })).outcome).toMatchObject({ endedSessions: [{ pid: blocker.pid }] });
  });

  test('the flag ends whoever blocks its step, working or idle, although the policy waits', async () => {
    await stageWith('wait', { ...ALTER, terminateBlockers: true });
    const sleeper = await idle();
    const { client } = await working();
    const { outcome } = await staged.apply(1);
    expect(new Set(outcome.endedSessions?.map(({ pid }) => pid))).toEqual(new Set([sleeper.pid, client.pid]));
    expect((await recorded()).map(({ policy }) => policy)).toEqual(['terminate', 'terminate']);
  });
});

describe('a wait of our own', () => {
  test('a claim that somebody holds up names that session', async () => {
    await stageWith('terminate');
    const meddler = await other('a curious person');
    await meddler.query('begin; select from pgunwind.fence for update');
    const error = await staged.claim().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      type: FailureType.InstanceBusy,
      retryable: true,
      details: { blockers: [{ pid: meddler.pid }] },
    });
    expect(String(error)).toContain('The claim on "frontend" had to wait for');
    expect(String(error)).toContain('"a curious person"');
    expect(await isThere(meddler.pid), 'policies are for steps').toBe(true);
    await meddler.query('rollback');
    await staged.claim();
  });

  test.each([
    ['the migration lock', 'select pg_advisory_xact_lock(1885828462, 0)'],
    ['the fence', 'select from pgunwind.fence for update'],
  ])('the record of a release that somebody holds up with %s names that session', async (_, text) => {
    await stageWith('terminate');
    await staged.apply(1);
    const record = createRecordRelease({
      instances: { open: () => ({ databases: [staged.instance] }) },
      plans: { plan: () => Promise.resolve({ legs: [{ release: 'v1' }] }) },
      log: pino({ level: 'silent' }),
    } as unknown as ActivityDeps);
    const order = { instance: 'test', run: staged.run, plan: 'p', leg: 0, tokens: { frontend: staged.token } };
    const meddler = await other('a curious person');
    await meddler.query(`begin; ${text}`);
    const error = await record(order).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type: FailureType.InstanceBusy, retryable: true });
    expect(String(error)).toContain(`"a curious person" (process ${meddler.pid}`);
    await meddler.query('rollback');
    expect(await record(order)).toMatchObject({ found: 'written' });
  });

  test.each([
    ['the fence', 'select from pgunwind.fence for update'],
    ["the product's ledger", 'lock table migration_logs'],
  ])('a step that somebody holds up by locking %s names that session', async (_, text) => {
    await stageWith('wait');
    const meddler = await other('a curious person');
    await meddler.query(`begin; ${text}`);
    const error = await failure();
    expect(error.message).toContain(`"a curious person" (process ${meddler.pid}`);
  });
});
