import { CancelledFailure } from '@temporalio/common';
import { describe, expect, test } from 'vitest';
import type { StepOutcome } from '../../src/contract/activities.js';
import { applicationName } from '../../src/step/fence.js';
import type { TestRun } from '../support/engine.js';
import { openClient } from '../support/gate.js';
import { ALL_DOWN, LONG, openLongStep, type LongStep, type Pending } from '../support/long-step.js';
import { until } from '../support/until.js';

/** Between what a person asks for and its effect on the server. */
const AT_ONCE_MS = 2_000;

/** Waits until that backend is not at work any more; how long that took. */
async function untilEnded(it: LongStep, pid: number): Promise<number> {
  const began = performance.now();
  await until(async () => (await it.backend()) !== pid, { describe: `process ${pid} to end its statement`, every: 10 });
  return performance.now() - began;
}

const untilPending = (it: LongStep, run: TestRun, what: string, is: (activity: Pending) => boolean) =>
  until(
    async () => {
      const activity = await it.pending(run);
      return activity !== undefined && is(activity) && activity;
    },
    { describe: `the step to be ${what}` },
  );
const untilHeld = (it: LongStep, run: TestRun) =>
  untilPending(it, run, 'paused and at rest', ({ paused, running }) => paused && !running);

async function expectAllDownOnce(it: LongStep, run: TestRun): Promise<void> {
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', stepsDone: 4, stepsTotal: 4 });
  expect(await it.witnessed()).toEqual(ALL_DOWN);
  await it.expectNoSecrets(run);
}

async function ageOf(it: LongStep, pid: number): Promise<number> {
  const [row] = await it.database.asSuperuser<{ ms: number }>(
    'select (1000 * extract(epoch from clock_timestamp() - query_start))::integer as ms from pg_stat_activity where pid = $1',
    [pid],
  );
  return row?.ms ?? 0;
}

describe('a cancel of the workflow while a statement runs', () => {
  test.each([0, 1_400])('ends it on the server within two seconds (%i ms after its begin)', async (after) => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await until(async () => (await ageOf(it, pid)) >= after, { describe: `${after} ms of the statement`, every: 10 });
    await run.handle.cancel();
    const took = await untilEnded(it, pid);
    console.info(`cancelled ${after} ms after its begin, ended ${Math.round(took)} ms later`);
    expect(took).toBeLessThan(AT_ONCE_MS);

    await expect(run.report).rejects.toMatchObject({ cause: expect.any(CancelledFailure) });
    expect(await it.witnessed()).toEqual(['seen 5 down']);
    const runs = await it.database.query(`select state from pgunwind.run where instance = $1 and direction = 'down'`, [
      it.name,
    ]);
    expect(runs).toEqual([{ state: 'cancelled' }]);
    expect(await it.database.query('select token from pgunwind.fence'), 'the claim is given back').toEqual([
      { token: null },
    ]);
    expect(Object.values(await it.engine.check({ instance: it.name }))).toMatchObject([{ clean: true }]);
    await it.expectNoSecrets(run);

    await it.gate.open();
    const again = await it.down();
    expect(await again.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
    expect(await it.witnessed()).toEqual(ALL_DOWN);
    expect(await it.tries()).toBe(2);
  });
});

describe('a script that fails', () => {
  test('in a way that a repeat cures is tried again by itself, with pauses, until it passes', async () => {
    const it = await openLongStep({
      long: `do $$ begin
        if (select last_value from tries) < 4 then raise exception using errcode = '40001'; end if;
      end $$;`,
    });
    const run = await it.down();
    await expectAllDownOnce(it, run);
    expect(await it.tries()).toBe(4);
    const failures = await it.database.query<{ ms: number }>(
      `select (1000 * extract(epoch from at - lag(at) over (order by id)))::integer as ms from pgunwind.failure order by id`,
    );
    expect(failures).toHaveLength(3);
    expect(failures[1]?.ms).toBeGreaterThanOrEqual(250);
    expect(failures[2]?.ms).toBeGreaterThanOrEqual(500);
  });

  test('in a way that no repeat cures is tried once; what is changed meanwhile is seen by the check of the retry', async () => {
    const it = await openLongStep({ long: 'select no_such_function();' });
    const run = await it.down();
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ seq: LONG.seq, during: 'step', failure: 'StepFailed' }]);
    expect(await it.tries()).toBe(1);
    expect(await it.pending(run), 'no attempt is to come').toBeUndefined();
    await it.database.query('create function no_such_function() returns integer language sql as $$ select 1 $$');
    await it.expectNoSecrets(run);
    await run.update('retryStep');
    expect((await run.inState('needsOperator')).parked, 'somebody else has changed the catalogs').toMatchObject([
      { seq: LONG.seq, during: 'check', failure: 'DirtyDatabase' },
    ]);
    await it.database.query('drop function no_such_function()');
    await run.update('abort');
    expect(await run.report).toMatchObject({ outcome: 'aborted', stepsDone: 1 });
    expect(await it.witnessed()).toEqual(['seen 5 down']);
  });
});

describe('a person at the activity of a step under way', () => {
  test('pause ends the statement and holds the step; unpause runs it, and the run ends by itself', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('pause', run);
    expect(await untilEnded(it, pid)).toBeLessThan(AT_ONCE_MS);
    expect(await untilHeld(it, run)).toMatchObject({ failed: 'ActivityPause' });
    expect(await run.status()).toMatchObject({ state: 'running', parked: [], stepsDone: 1 });
    expect(await it.witnessed()).toEqual(['seen 5 down']);
    await it.expectNoSecrets(run);

    await it.gate.open();
    expect(await it.tries(), 'nothing runs while it is held').toBe(1);
    await it.activity('unpause', run);
    await expectAllDownOnce(it, run);
    expect(await it.tries()).toBe(2);
  });

  test('a reset ends the statement and begins the step anew, and the run ends by itself', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('reset', run);
    expect(await untilEnded(it, pid)).toBeLessThan(AT_ONCE_MS);
    expect(await it.gate.waiter(), 'another attempt, at the gate too').toBeGreaterThan(0);
    expect(await it.pending(run)).toMatchObject({ failed: 'ActivityReset' });
    await it.gate.open();
    await expectAllDownOnce(it, run);
    expect(await it.tries()).toBe(2);
  });

  test('a reset that lowers the attempt number claims anew, and what is left of a higher attempt is ended', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('pause', run);
    await untilEnded(it, pid);
    await untilHeld(it, run);
    // An attempt whose worker is out of reach: alive on the server, with the claim's token, and a higher number.
    const [fence] = await it.database.query<{ token: string }>('select token from pgunwind.fence');
    const token = fence?.token ?? '';
    const left = await openClient(it.database, { application_name: applicationName(token, 7, LONG.seq) });
    await left.query('begin');
    await left.query('select pg_advisory_xact_lock(1885828462, 0)');
    const gone = new Promise((resolve) => left.once('end', resolve));

    await it.gate.open();
    await it.activity('reset', run); // unpauses too
    await expectAllDownOnce(it, run);
    await gone;
    const history = await run.handle.fetchHistory();
    const failed = history.events?.flatMap(({ activityTaskFailedEventAttributes: it }) =>
      it ? [it.failure?.applicationFailureInfo?.type] : [],
    );
    expect(failed).toEqual(['StaleAttempt']);
    const started = history.events?.flatMap(({ activityTaskStartedEventAttributes: it }) => (it ? [it.attempt] : []));
    expect(Math.max(...(started ?? []).map(Number)), 'no attempt has a number as high as the one that was left').toBe(
      1,
    );
  });

  test('fail parks the run with the words of whoever failed it, and retryStep goes on', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('fail', run, '--reason', 'takes too long');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ during: 'step', seq: LONG.seq, failure: 'SettledByHand' }]);
    expect(parked[0]?.message).toMatch(/"takes too long".*retryStep/s);
    expect(await untilEnded(it, pid)).toBeLessThan(AT_ONCE_MS);
    await it.gate.open();
    await run.update('retryStep');
    await expectAllDownOnce(it, run);
  });

  test('complete with any result parks the run: the step is not done because somebody says so', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('complete', run, '--result', '{}');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ during: 'step', seq: LONG.seq, failure: 'SettledByHand' }]);
    expect(parked[0]?.message).toMatch(/completed.*journal.*retryStep/s);
    expect(await untilEnded(it, pid)).toBeLessThan(AT_ONCE_MS);
    await it.gate.open();
    await run.update('retryStep');
    await expectAllDownOnce(it, run);
  });

  const MADE_UP: StepOutcome = {
    how: 'ran',
    unit: null,
    tookMs: 1,
    attempt: 1,
    notices: 0,
    skippedNotices: 0,
    check: null,
  };

  test('complete with a result like ours parks at the next check while the attempt lives', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('complete', run, '--result', JSON.stringify(MADE_UP));
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ during: 'check', seq: LONG.seq + 1, reasons: [{ code: 'earlierAttemptAlive' }] }]);
    await untilEnded(it, pid); // or it would go through the open gate, and be done
    await it.gate.open();
    await run.update('retryStep');
    await expectAllDownOnce(it, run);
    expect((await run.status()).warnings).toContainEqual(expect.stringContaining('by hand'));
  });

  test('complete of a step that is held is found out by the next one: the run goes back, runs it, and says so', async () => {
    const it = await openLongStep();
    const run = await it.down();
    const pid = await it.gate.waiter();
    await it.activity('pause', run);
    await untilEnded(it, pid);
    await untilHeld(it, run);
    await it.gate.open();
    await it.activity('complete', run, '--result', JSON.stringify(MADE_UP));
    await expectAllDownOnce(it, run);
    expect((await run.status()).warnings).toContainEqual(expect.stringContaining('by hand'));
  });
});
