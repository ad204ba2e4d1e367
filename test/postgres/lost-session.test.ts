import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import type { WatchLimits } from '../../src/step/watch.js';
import { closeGate, terminate, waitAt } from '../support/gate.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { stage, type Stage, type StagedStep } from '../support/stage.js';
import { until } from '../support/until.js';
import { startProxy, type Proxy } from '../support/wire-proxy.js';

const SETUP = 'create table witness (at integer);';
const GATED = [{ migration: '10001', text: `insert into witness values (1); ${waitAt(1)}` }];

/** Seconds of the real thing as tenths. */
const LIMITS: WatchLimits = { everyMs: 50, lookMs: 500, quietMs: 300, silenceMs: 2_000 };

let database: TestDatabase;
let path: Proxy;
let staged: Stage;
beforeEach(async () => {
  database = await createDatabase();
  path = await startProxy({ port: Number(new URL(database.url).port), wire: false });
});
afterEach(async () => {
  await staged.close(); // ends although sessions of the pool are silent
  await path.close();
});

async function stageBehind(steps: readonly StagedStep[] = GATED): Promise<void> {
  staged = await stage(steps, { setup: SETUP, database, via: path.url, settings: { queryTimeoutMs: 1_500 } });
}

/** The pool's sessions have been reset: the next one to ask gets a warm one. */
async function warm(): Promise<void> {
  await until(
    async () => {
      const rows = await database.asSuperuser<{ query: string; state: string }>(
        'select query, state from pg_stat_activity where datname = $1 and usename = $2',
        [database.name, database.role],
      );
      return (
        rows.length > 0 &&
        rows.every(({ query, state }) => state === 'idle' && query.includes('pg-unwind session.reset'))
      );
    },
    { describe: 'the sessions of the pool to be reset' },
  );
}

async function attempt(options: Parameters<Stage['apply']>[1] = {}): Promise<unknown> {
  return staged.apply(1, { limits: LIMITS, ...options }).catch((error: unknown) => error);
}

/** The next attempts, until one of them has an answer, as Temporal would make them. */
async function untilDone(from: number): Promise<{ how: string; attempts: number }> {
  for (let number = from; number < from + 5; number += 1) {
    const answer = await attempt({ attempt: number });
    if (!(answer instanceof Error))
      return { how: (answer as { outcome: { how: string } }).outcome.how, attempts: number - from + 1 };
    expect(answer).toMatchObject({ retryable: true });
  }
  throw new Error('five attempts, and no answer');
}

const witnesses = async () => (await database.query('select from witness')).length;

describe('a path that swallows packets', () => {
  test('after the commit: the attempt ends, and the next one finds the step done', async () => {
    await stageBehind();
    const gate = await closeGate(database, 1);
    const first = attempt();
    await gate.waiter();
    path.silence();
    await gate.open();
    const lost = await first;
    expect(lost).toMatchObject({ type: FailureType.DatabaseUnreachable, retryable: true });
    expect(String(lost)).toContain('does nothing any more, and no answer has come');
    expect(await untilDone(2)).toEqual({ how: 'foundDone', attempts: 1 });
    expect(await witnesses()).toBe(1);
  });

  test('before the message: it never arrives, the attempt ends, and the next one runs the step', async () => {
    await stageBehind([{ migration: '10001', text: 'insert into witness values (1)' }]);
    await warm();
    path.silence();
    expect(await attempt()).toMatchObject({ type: FailureType.DatabaseUnreachable });
    expect(await untilDone(2)).toEqual({ how: 'ran', attempts: 1 });
    expect(await witnesses()).toBe(1);
  });

  test('while the server session dies: the attempt ends, and the step is done once', async () => {
    await stageBehind();
    const gate = await closeGate(database, 1);
    const first = attempt();
    const pid = await gate.waiter();
    path.silence();
    await terminate(database, pid);
    const lost = await first;
    expect(lost).toMatchObject({ type: FailureType.DatabaseUnreachable });
    expect(String(lost)).toContain('is gone, and nobody told us');
    await gate.open();
    expect((await untilDone(2)).how).toBe('ran');
    expect(await witnesses()).toBe(1);
  });

  test('and every new connection: heartbeats say so, the attempt ends, and the next one, when the path is back, does it once', async () => {
    await stageBehind();
    const gate = await closeGate(database, 1);
    const told: string[] = [];
    const first = attempt({ progress: (what) => told.push(what) });
    const pid = await gate.waiter();
    path.stall(true);
    const lost = await first;
    expect(lost).toMatchObject({ type: FailureType.DatabaseUnreachable });
    expect(String(lost)).toContain('nor a second one has had an answer for');
    expect(told.join('\n')).toContain('the server has not answered for');
    // Nobody could tell the server: the old statement still runs there, and is ended before the step is looked at.
    expect(await database.asSuperuser('select from pg_stat_activity where pid = $1', [pid])).toHaveLength(1);
    path.stall(false);
    const second = untilDone(2);
    await until(async () => (await gate.waiter()) !== pid, { describe: 'the second attempt at the gate' });
    expect(await database.asSuperuser('select from pg_stat_activity where pid = $1', [pid])).toHaveLength(0);
    await gate.open();
    expect((await second).how).toBe('ran');
    expect(await witnesses()).toBe(1);
  });

  test('a cancellation reaches the server within two seconds although every warm session is silent', async () => {
    await stageBehind();
    const gate = await closeGate(database, 1);
    const cancellation = new AbortController();
    const first = attempt({ signal: cancellation.signal });
    const pid = await gate.waiter();
    path.silence();
    const began = performance.now();
    cancellation.abort();
    await until(
      async () =>
        (await database.asSuperuser(`select from pg_stat_activity where pid = $1 and state = 'active'`, [pid]))
          .length === 0,
      { describe: 'the statement to end on the server' },
    );
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await first).toBeInstanceOf(Error);
    await gate.open();
    expect(await witnesses()).toBe(0);
  });

  test('a query of ours that gets no answer fails in time, and its session is not used again', async () => {
    await stageBehind();
    await warm();
    path.silence();
    const began = performance.now();
    await expect(staged.check(1)).rejects.toThrow('Query read timeout');
    expect(performance.now() - began).toBeLessThan(10_000);
    expect((await staged.check(1)).clean).toBe(true);
  });

  test('a claim fails in time, and the next one works', async () => {
    await stageBehind();
    const old = staged.token;
    await warm();
    path.silence();
    await expect(staged.claim()).rejects.toThrow('Query read timeout');
    expect(await staged.claim()).not.toBe(old);
  });
});
