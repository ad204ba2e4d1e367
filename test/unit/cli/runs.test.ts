import type { Client } from '@temporalio/client';
import { expect, test, vi } from 'vitest';
import { createRuns } from '../../../src/cli/runs.js';

const UNAVAILABLE = 14;
const INTERNAL = 13;

/** A client whose `result` fails so often with that code of gRPC, and then has the report. */
function clientThatFails(times: number, code: number): { client: Client; asked: () => number } {
  let asked = 0;
  const result = async () => {
    asked += 1;
    if (asked > times) return { outcome: 'completed' };
    const cause = Object.assign(new Error('14 UNAVAILABLE'), { code, details: '', metadata: {} });
    throw new Error('Failed to get Workflow execution history', { cause }); // as the SDK words it
  };
  const client = {
    withAbortSignal: (_signal: AbortSignal, work: () => unknown) => work(),
    workflow: { getHandle: () => ({ workflowId: 'unwind/acme-eu', result }) },
  };
  return { client: client as unknown as Client, asked: () => asked }; // all that is asked of it here
}

const runs = (client: Client) => createRuns({ client, namespace: 'n', taskQueue: 'q' });

test('who waits for the end of a run outlives a Temporal server that is away', async () => {
  const { client, asked } = clientThatFails(1, UNAVAILABLE);
  expect(await runs(client).result('acme-eu', new AbortController().signal)).toEqual({ outcome: 'completed' });
  expect(asked()).toBe(2);
});

test('who leaves meanwhile is let go, and another failure is one', async () => {
  const leaving = new AbortController();
  const { client } = clientThatFails(99, UNAVAILABLE);
  const waiting = runs(client).result('acme-eu', leaving.signal);
  setImmediate(() => leaving.abort());
  await expect(waiting).rejects.toThrow('Failed to get Workflow execution history');

  const broken = clientThatFails(99, INTERNAL);
  await expect(runs(broken.client).result('acme-eu', new AbortController().signal)).rejects.toThrow('Failed to get');
  expect(broken.asked()).toBe(1);
});

test('who sends an update that no worker takes is told after some seconds, and not when it is answered at once', async () => {
  vi.useFakeTimers();
  try {
    let give: (answer: object) => void = () => undefined;
    const answer = new Promise<object>((resolve) => (give = resolve));
    const handle = {
      workflowId: 'unwind/acme-eu',
      executeUpdate: () => answer,
      describe: async () => ({ taskQueue: 'another' }),
    };
    const client = {
      options: {},
      withAbortSignal: (_signal: AbortSignal, work: () => unknown) => work(),
      withDeadline: (_at: number, work: () => unknown) => work(),
      workflow: { getHandle: () => handle },
    } as unknown as Client; // all that is asked of it here
    const told: unknown[] = [];
    const sent = runs(client).update('acme-eu', 'pause', {}, (queue) => told.push(queue));
    await vi.advanceTimersByTimeAsync(2_900);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual([{ own: 'another', configured: 'q' }]);
    give({});
    await sent;

    await runs(client).update('acme-eu', 'pause', {}, (queue) => told.push(queue));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toHaveLength(1);
  } finally {
    vi.useRealTimers();
  }
});
