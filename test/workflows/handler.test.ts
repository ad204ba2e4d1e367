import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { HandlerCall } from '../../src/contract/handler.js';
import { type Handler, newQueue, startHandlers } from '../support/handler-worker.js';
import { FakeInstance } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
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
  workerWaitSeconds: 3, // in life 40: what happens when they are over is the same
};

const product = (taskQueue: string, more: object = {}) =>
  new FakeInstance(
    [
      {
        release: 'v6.0.0',
        steps: { frontend: ['m2'] },
        data: { frontend: ['7'] },
        handlers: { '7': { kind: 'activity', taskQueue, type: TYPE, exactlyOnce: false, ...more } },
      },
      { release: 'v5.0.0', steps: { frontend: ['m1'] } },
    ],
    { options: OPTIONS },
  );

/** Ten rows in calls of four, as a handler of the product would walk them; `touched` are the rows that it wrote, in order. */
function walker(touched: number[], rows = 10, size = 4): Handler {
  return ({ cursor }) => {
    const from = Number(cursor ?? 0);
    const to = Math.min(rows, from + size);
    for (let row = from + 1; row <= to; row += 1) touched.push(row);
    return { cursor: String(to), rowsDone: to - from, progress: 1 - to / rows, done: to === rows };
  };
}

const ROWS = Array.from({ length: 10 }, (_, at) => at + 1);

describe('a data migration that an activity of the product moves', () => {
  test('is called until it is done, each time where the journal says, and the leg goes on', async () => {
    const queue = newQueue();
    const touched: number[] = [];
    const calls: HandlerCall[] = [];
    const walk = walker(touched);
    await startHandlers(queue, { [TYPE]: (call) => (calls.push(call), walk(call)) });
    const instance = product(queue);
    const { report, handle } = await harness.start(instance);
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
});
