import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { HandlerAnswer, HandlerCall } from '../../src/contract/handler.js';
import { type Handler, type HandlerWorkerOptions, newQueue, startHandlers } from '../support/handler-worker.js';
import { until } from '../support/until.js';
import { FakeInstance, Gate, untilCancelled } from './fake-instance.js';
import { type Harness, openHarness, type Started } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const TYPE = 'encryptEmails';
const OPTIONS = {
  stepTimeoutSeconds: 60,
  heartbeatTimeoutSeconds: 30,
  maximumAttempts: null,
  workerWaitSeconds: 2, // in life 40: what happens when they are over is the same
};
const ROWS = Array.from({ length: 10 }, (_, at) => at + 1);

function product(taskQueue: string, more: object = {}): FakeInstance {
  const handler = { kind: 'activity', taskQueue, type: TYPE, exactlyOnce: false, ...more } as const;
  const first = {
    release: 'v6.0.0',
    steps: { frontend: ['m2'] },
    data: { frontend: ['7'] },
    handlers: { '7': handler },
  };
  return new FakeInstance([first, { release: 'v5.0.0', steps: { frontend: ['m1'] } }], { options: OPTIONS });
}

/** Ten rows in calls of four, as a handler would walk them; `touched` are the rows that it wrote, in order. */
function walker(touched: number[], end = ROWS.length, size = 4): Handler {
  return ({ cursor }) => {
    const from = Number(cursor ?? 0);
    const to = Math.min(end, from + size);
    for (let row = from + 1; row <= to; row += 1) touched.push(row);
    return { cursor: String(to), rowsDone: to - from, progress: 1 - to / end, done: to === end };
  };
}

/** The first call does this instead; the others walk. */
function firstCall(
  first: (call: HandlerCall, walk: Handler) => unknown,
  touched: number[],
): (call: HandlerCall) => unknown {
  const walk = walker(touched);
  let calls = 0;
  return (call) => (++calls === 1 ? first(call, walk) : walk(call));
}

interface Stood extends Started {
  readonly instance: FakeInstance;
  readonly queue: string;
}

async function stand(
  handler: ((call: HandlerCall) => unknown) | null,
  {
    more = {},
    options = {},
    type = TYPE,
    stallCalls = 50,
  }: { more?: object; options?: HandlerWorkerOptions; type?: string; stallCalls?: number } = {},
): Promise<Stood> {
  const queue = newQueue();
  const instance = product(queue, more);
  instance.stallCalls = stallCalls;
  if (handler !== null) await startHandlers(queue, { [type]: handler }, options);
  return { ...(await harness.start(instance)), instance, queue };
}

const parkedIn = async ({ inState }: Stood) => (await inState('needsOperator')).parked[0];

describe('a data migration that an activity of the product moves', () => {
  test('is called until it is done, each time where the journal says, and the leg goes on', async () => {
    const touched: number[] = [];
    const calls: HandlerCall[] = [];
    const walk = walker(touched);
    const { report, handle, instance } = await stand((call) => (calls.push(call), walk(call)));
    expect(await report).toMatchObject({ outcome: 'completed', standsAt: 'v5.0.0', stepsDone: 3, stepsTotal: 3 });
    expect(touched).toEqual(ROWS);
    expect(calls.map(({ cursor }) => cursor)).toEqual([null, '4', '8']);
    expect(calls[0]).toEqual({
      instance: expect.any(String) as string,
      database: 'frontend',
      migration: '7',
      direction: 'reverse',
      cursor: null,
      batchSize: 100,
      token: 'token-1-frontend',
      connection: { kind: 'env', name: 'FRONTEND_URL' },
      run: expect.any(String) as string,
    });
    expect(instance.positions.get('7')).toEqual({ cursor: '10', batches: 3, rows: 10, progress: 0 });
    expect(instance.calls.indexOf('done frontend data 0 7')).toBeLessThan(instance.calls.indexOf('recordRelease 0'));
    expect(instance.count('runDataMigration')).toBe(0);
    await saveHistory(handle, 'handler');
  });

  test('shows between two calls what it has moved', async () => {
    const gate = new Gate();
    const touched: number[] = [];
    const walk = walker(touched);
    const { report, status, handle } = await stand((call) =>
      call.cursor === '4' ? gate.twist(async () => walk(call)) : walk(call),
    );
    await gate.reached;
    expect((await status()).data).toMatchObject([
      {
        id: '7',
        running: true,
        activity: { type: TYPE },
        figures: { doing: 'moving rows', batches: 1, rows: 4, progress: 0.6 },
      },
    ]);
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('4 rows so far, at 0.6');
    gate.open();
    expect((await report).outcome).toBe('completed');
  });

  test('is moved in the same way where it is run by itself', async () => {
    const queue = newQueue();
    const touched: number[] = [];
    await startHandlers(queue, { [TYPE]: walker(touched) });
    const handlers = { '7': { kind: 'activity', taskQueue: queue, type: TYPE, exactlyOnce: false } } as const;
    const leg = { release: 'v6.0.0', steps: { frontend: [] }, data: { frontend: ['7'] }, handlers };
    const { report } = await harness.start(new FakeInstance([leg]), { type: 'dataMigration' });
    expect(await report).toMatchObject({ outcome: 'completed', dataMigration: { id: '7', rows: 10, batches: 3 } });
    expect(touched).toEqual(ROWS);
  });

  test('that has no row to move is done with a progress of null', async () => {
    const { report } = await stand(() => ({ cursor: null, rowsDone: 0, progress: null, done: true }));
    expect((await report).outcome).toBe('completed');
  });

  test('goes on where the journal is when its worker dies in a call, and an exactly-once one touches no row twice', async () => {
    const touched: number[] = [];
    const stuck = new Gate();
    let instance: FakeInstance | undefined;
    const walk = walker(touched);
    const once = ({ token, migration }: HandlerCall): HandlerAnswer => {
      const cursor = instance?.positions.get('7')?.cursor ?? null; // pgunwind.batch_from
      const answer = walk({ cursor } as HandlerCall) as HandlerAnswer;
      instance?.batchDone(token, migration, cursor, answer.cursor, answer.rowsDone);
      return answer;
    };
    let calls = 0;
    const stood = await stand(
      (call) => {
        calls += 1;
        const answer = once(call);
        return calls === 1 ? stuck.twist(async () => answer) : answer; // it has committed, and is not heard of again
      },
      { more: { exactlyOnce: true, heartbeatSeconds: 1 } },
    ).then((started) => ((instance = started.instance), started));
    expect(await stood.report).toMatchObject({ outcome: 'completed' });
    stuck.open();
    expect(touched).toEqual(ROWS);
    expect(stood.instance.positions.get('7')).toMatchObject({ cursor: '10', batches: 3, rows: 10 });
  });

  test('is called again with the same cursor after a death, where it does not record its batches', async () => {
    const touched: number[] = [];
    const cursors: (string | null)[] = [];
    const dies = (call: HandlerCall, walk: Handler) => {
      void walk(call);
      throw new Error('the connection was lost behind the commit');
    };
    const handler = firstCall(dies, touched);
    const { report, instance } = await stand((call) => (cursors.push(call.cursor), handler(call)));
    expect((await report).outcome).toBe('completed');
    expect(cursors).toEqual([null, null, '4', '8']);
    expect(touched).toEqual([1, 2, 3, 4, ...ROWS]);
    expect(instance.positions.get('7')).toMatchObject({ batches: 3, rows: 10 });
  });

  test('that a repeated note would count twice is counted once', async () => {
    const touched: number[] = [];
    const queue = newQueue();
    const instance = product(queue).next('noteDataCall', async (work) => {
      await work();
      throw new Error('the answer was lost');
    });
    await startHandlers(queue, { [TYPE]: walker(touched) });
    const { report } = await harness.start(instance);
    expect((await report).outcome).toBe('completed');
    expect(instance.positions.get('7')).toMatchObject({ batches: 3, rows: 10 });
    expect(touched).toEqual(ROWS);
  });
});

describe('an answer that breaks the contract parks', () => {
  const answer = { cursor: '4', rowsDone: 4, progress: 0.6, done: false };
  test.each([
    ['is no object', 17, 'it is 17; it must be one JSON object'],
    ['is nothing', null, 'it is null; it must be one JSON object'],
    [
      'has a progress above 1',
      { ...answer, progress: 1.5 },
      '"progress" is 1.5; it must be a number from 0 to 1, or null',
    ],
    ['has a cursor that is no text', { ...answer, cursor: 4 }, '"cursor" is 4; it must be a text or null'],
    ['has negative rows', { ...answer, rowsDone: -1 }, '"rowsDone" is -1; it must be a whole number from 0'],
    ['lacks done', { ...answer, done: undefined }, '"done" is missing; it must be true or false'],
    ['has a cursor like a row', { ...answer, cursor: 'x'.repeat(2_001) }, '"cursor" is a text of 2001 characters'],
    ['is too large', { ...answer, rest: 'x'.repeat(20_000) }, '10000 are the most'],
    [
      'is done too early',
      { ...answer, done: true },
      'says that it is done, at a progress of 0.6; the end of reverse is 0',
    ],
  ])('when it %s', async (_, wrong, words) => {
    let calls = 0;
    const touched: number[] = [];
    const walk = walker(touched);
    const stood = await stand((call) => (++calls === 1 ? wrong : walk(call)));
    const parked = await parkedIn(stood);
    expect(parked).toMatchObject({ database: 'frontend', migration: '7', during: 'data', failure: 'DataFailed' });
    expect(parked?.message).toContain(words);
    expect(parked?.message).toContain(`The activity "${TYPE}" on the task queue "${stood.queue}"`);
    expect(stood.instance.count('endDataCalls')).toBe(0);
    expect(stood.instance.count('noteDataFailure')).toBe(words.startsWith('says') ? 0 : 1);
    await stood.update('retryStep');
    expect((await stood.report).outcome).toBe('completed');
  });

  test('when it has done rows, and recorded no batch although it is to be exactly once', async () => {
    const stood = await stand(walker([]), { more: { exactlyOnce: true } });
    expect((await parkedIn(stood))?.message).toContain('did 4 rows, and has recorded no batch');
    await stood.update('abort');
    expect((await stood.report).outcome).toBe('aborted');
  });
});

describe('a handler that does not get on', () => {
  test('parks when so many calls in a row have moved neither progress nor cursor, and may be tried again', async () => {
    let calls = 0;
    const touched: number[] = [];
    const walk = walker(touched);
    const idle = { cursor: '4', rowsDone: 3, progress: 0.6, done: false };
    const stood = await stand((call) => (++calls > 5 ? walk(call) : idle), { stallCalls: 4 });
    const parked = await parkedIn(stood);
    expect(parked).toMatchObject({ failure: 'DataStalled', migration: '7' });
    expect(parked?.message).toContain('was called 4 times, and its progress is still 0.6');
    expect(calls).toBe(5); // the first one moved
    await stood.update('retryStep');
    expect((await stood.report).outcome).toBe('completed');
  });

  test('is tried again when it throws, and only then parks, with what it said cut short', async () => {
    let calls = 0;
    const touched: number[] = [];
    const walk = walker(touched);
    const stood = await stand((call) => {
      calls += 1;
      if (calls === 1) throw new Error('the object store is away');
      if (calls === 3) throw ApplicationFailure.nonRetryable(`no key: ${'k'.repeat(5_000)}`, 'NoKey');
      return walk(call);
    });
    const parked = await parkedIn(stood);
    expect(parked?.failure).toBe('DataFailed');
    expect(parked?.message).toContain('failed: NoKey: no key: kkk');
    expect(parked?.message.length).toBeLessThan(900);
    expect(touched).toEqual([1, 2, 3, 4]);
    await stood.update('retryStep');
    expect((await stood.report).outcome).toBe('completed');
    expect(touched).toEqual(ROWS);
  });

  test('parks with the name of its type where a worker polls its queue and does not know it', async () => {
    const stood = await stand(walker([]), { type: 'somethingElse', more: { maximumAttempts: 2 } });
    const parked = await parkedIn(stood);
    expect(parked?.failure).toBe('DataFailed');
    expect(parked?.message).toContain(
      `is not registered: a worker polls the queue, and does not know the type "${TYPE}"`,
    );
    await stood.update('abort');
    expect((await stood.report).outcome).toBe('aborted');
  });

  test('parks where nobody polls its queue, and goes on once somebody does', async () => {
    const stood = await stand(null);
    const parked = await parkedIn(stood);
    expect(parked).toMatchObject({
      failure: 'HandlerUnavailable',
      database: 'frontend',
      migration: '7',
      during: 'data',
    });
    expect(parked?.message).toContain(`Nobody polls the task queue "${stood.queue}"`);
    expect(parked?.message).toContain(`Start the worker that serves "${TYPE}"`);
    const touched: number[] = [];
    await startHandlers(stood.queue, { [TYPE]: walker(touched) });
    await stood.update('retryStep');
    expect((await stood.report).outcome).toBe('completed');
    expect(touched).toEqual(ROWS);
  });

  test('is waited for without a park while its worker has its hands full, and the status says so', async () => {
    const busy = new Gate();
    const queue = newQueue();
    const touched: number[] = [];
    await startHandlers(
      queue,
      { [TYPE]: walker(touched), other: () => busy.twist(async () => null) },
      { worker: { maxConcurrentActivityTaskExecutions: 1 } },
    );
    const other = await harness.start(product(queue, { type: 'other' }));
    await busy.reached;
    const { report, status } = await harness.start(product(queue));
    const waits = `a worker of the task queue "${queue}" to begin the activity "${TYPE}"; it was last polled`;
    await until(async () => (await status()).waitingFor?.includes(waits) === true, {
      describe: 'the status to say so',
      within: 30_000,
      show: status,
    });
    expect(await status()).toMatchObject({ state: 'running', parked: [] });
    await other.update('abort');
    busy.open();
    expect((await report).outcome).toBe('completed');
    expect((await other.report).outcome).toBe('aborted');
    expect(touched).toEqual(ROWS);
  });
});

describe('while a call runs', () => {
  test('a pause ends it, gives the claim back, and a resume goes on at the cursor with another token', async () => {
    const touched: number[] = [];
    const walk = walker(touched);
    const tokens: string[] = [];
    let calls = 0;
    const stood = await stand((call) => {
      tokens.push(call.token);
      return ++calls === 2 ? untilCancelled() : walk(call);
    });
    await until(() => calls === 2, { describe: 'the second call' });
    await stood.update('pause', { by: 'ann' });
    await until(() => stood.instance.calls.includes('yieldClaim frontend paused'), {
      describe: 'the claim given back',
    });
    expect(calls).toBe(2);
    await stood.update('resume');
    expect((await stood.report).outcome).toBe('completed');
    expect(touched).toEqual(ROWS);
    expect(tokens).toEqual([
      ...Array<string>(2).fill('token-1-frontend'),
      ...Array<string>(2).fill('token-2-frontend'),
    ]);
  });

  test('an abort ends it, and the run ends as aborted', async () => {
    const begun = new Gate();
    const stood = await stand(async () => {
      void begun.twist(async () => null);
      return untilCancelled();
    });
    await begun.reached;
    await stood.update('abort');
    expect(await stood.report).toMatchObject({ outcome: 'aborted', standsAt: null });
    expect(stood.instance.count('recordRelease')).toBe(0);
  });

  test('one that sends no heartbeat is let end first: nothing of the run is at work when the abort is through', async () => {
    const gate = new Gate();
    let ended = false;
    const stood = await stand(() =>
      gate.twist(async () => {
        ended = true;
        return { cursor: '4', rowsDone: 4, progress: 0.6, done: false };
      }),
    );
    await gate.reached;
    await stood.update('abort');
    expect((await stood.status()).state).toBe('running');
    gate.open();
    expect((await stood.report).outcome).toBe('aborted');
    expect(ended).toBe(true);
  });
});
