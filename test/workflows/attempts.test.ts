import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { FakeInstance, fails, Gate, PLAN } from './fake-instance.js';
import { type Harness, openHarness, type Started } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

/** Every kind of activity that a run waits for, by the line of its first call. */
const KINDS = [
  'makePlan',
  'recordDecision approve',
  'claim frontend',
  'readLeg 0',
  'checkDirty frontend 1',
  'applyMigration frontend 1',
  'recordRelease 0',
  'verifyRelease 0',
  'endRun completed',
] as const;

const HEARTBEAT_SECONDS = 1;

function destructive(): FakeInstance {
  return new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } }], {
    destructiveSteps: 1,
    options: { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: HEARTBEAT_SECONDS, maximumAttempts: null },
  });
}
const start = (instance: FakeInstance): Promise<Started> =>
  harness.start(instance, { input: { acceptDataLoss: PLAN, by: 'ann' } });

interface Options {
  readonly type: string;
  readonly heartbeat: number;
  readonly scheduleToClose: number;
  readonly maximumAttempts: number;
  readonly initialMs: number;
  readonly maximumMs: number;
}

/** What the history says of each scheduled activity. */
async function scheduled({ handle }: Started): Promise<Options[]> {
  const { events } = await handle.fetchHistory();
  const ms = (duration: { seconds?: unknown; nanos?: number | null } | null | undefined) =>
    Number(duration?.seconds ?? 0) * 1_000 + (duration?.nanos ?? 0) / 1_000_000;
  return (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: it }) =>
    it
      ? [
          {
            type: it.activityType?.name ?? '',
            heartbeat: ms(it.heartbeatTimeout) / 1_000,
            scheduleToClose: ms(it.scheduleToCloseTimeout) / 1_000,
            maximumAttempts: it.retryPolicy?.maximumAttempts ?? 0,
            initialMs: ms(it.retryPolicy?.initialInterval),
            maximumMs: ms(it.retryPolicy?.maximumInterval),
          },
        ]
      : [],
  );
}

describe('what an activity does when it fails', () => {
  test.concurrent.each(KINDS)('%s: a failure that a repeat can cure is tried again by itself', async (call) => {
    const again = fails('DatabaseUnreachable');
    const instance = destructive().next(call, again, again);
    expect((await (await start(instance)).report).outcome).toBe('completed');
    expect(instance.count(call)).toBe(3);
  });

  test.concurrent.each(KINDS)('%s: any other parks at its first attempt', async (call) => {
    const instance = destructive().next(call, fails('Unexpected', 'as asked for'));
    const { inState, update, report } = await start(instance);
    expect((await inState('needsOperator')).parked).toMatchObject([{ failure: 'Unexpected', message: 'as asked for' }]);
    expect(instance.count(call)).toBe(1);
    await update('retryStep');
    expect((await report).outcome).toBe('completed');
    expect(instance.count(call)).toBe(2);
  });

  test('the attempts come further and further apart', async () => {
    const times: number[] = [];
    const failing = () => {
      times.push(Date.now());
      return fails('StepInterrupted')(() => Promise.resolve());
    };
    const instance = destructive().next('applyMigration frontend 1', failing, failing, failing, failing);
    expect((await (await start(instance)).report).outcome).toBe('completed');
    const pauses = times.slice(1).map((time, at) => time - (times[at] as number));
    expect(pauses).toHaveLength(3);
    pauses.forEach((pause, at) => expect(pause).toBeGreaterThanOrEqual(250 * 2 ** at)); // the server adds what it likes
  });

  test('nothing that a run waits for has an end date; what it does in parting has one', async () => {
    const started = await start(destructive());
    await started.report;
    const all = await scheduled(started);
    expect(new Set(all.map(({ type }) => type))).toEqual(
      new Set([...KINDS.map((call) => call.split(' ')[0]), 'yieldClaim']),
    );
    for (const { type, scheduleToClose, maximumAttempts, initialMs, maximumMs } of all) {
      expect({ type, scheduleToClose, maximumAttempts }).toEqual({
        type,
        scheduleToClose: type === 'yieldClaim' ? 60 : 0,
        maximumAttempts: 0,
      });
      expect(initialMs).toBeLessThanOrEqual(1_000);
      expect(maximumMs).toBeGreaterThanOrEqual(10_000);
      expect(maximumMs).toBeLessThanOrEqual(30_000);
    }
  });
});

describe('a worker that dies', () => {
  test.concurrent.each(KINDS)('in %s: is noticed after the heartbeat timeout, and the run goes on', async (call) => {
    const dead = new Gate(); // no answer, no heartbeat
    let noticed = 0;
    const instance = destructive().next(call, dead.twist, (work) => {
      noticed = Date.now();
      return work();
    });
    const started = await start(instance);
    await dead.reached;
    const died = Date.now();
    expect((await started.report).outcome).toBe('completed');
    const limit = call === 'makePlan' ? 10 : HEARTBEAT_SECONDS; // the settings of an instance come with its plan
    expect(noticed - died).toBeGreaterThan(0);
    expect(noticed - died).toBeLessThan((limit + 2) * 1_000);
    dead.open(); // what it says now, nobody hears
    expect(instance.calls.filter((line) => line === 'done frontend 1').length).toBeLessThanOrEqual(
      call.startsWith('applyMigration') ? 2 : 1, // the fake keeps no fence between two attempts with one claim
    );
  });

  test('no activity is without a heartbeat timeout', async () => {
    const started = await start(destructive());
    await started.report;
    for (const { type, heartbeat } of await scheduled(started)) {
      const early = type === 'makePlan' ? 10 : HEARTBEAT_SECONDS;
      expect({ type, heartbeat }).toEqual({ type, heartbeat: early });
    }
  });
});
