import { asyncLocalStorage, type Context } from '@temporalio/activity';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { beating, type Beat } from '../../../src/activities/heartbeat.js';

let beats: Beat[];
beforeEach(() => {
  beats = [];
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

function inActivity<T>(work: () => Promise<T>): Promise<T> {
  const context = { heartbeat: (details: Beat) => beats.push(details) };
  return asyncLocalStorage.run(context as unknown as Context, work);
}
const lasting = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

test('an activity that ends within a second sends no heartbeat', async () => {
  const work = inActivity(() => beating('checking', () => lasting(900)));
  await vi.advanceTimersByTimeAsync(5_000);
  await work;
  expect(beats).toEqual([]);
});

test('a longer one beats each second, says what it does now, and stops when it has ended', async () => {
  const work = inActivity(() =>
    beating('claiming', async (tell) => {
      await lasting(2_500);
      tell('ending the session of an earlier claim, process 4711');
      await lasting(1_000);
    }),
  );
  await vi.advanceTimersByTimeAsync(10_000);
  await work;
  expect(beats).toEqual([
    { doing: 'claiming', seconds: 1 },
    { doing: 'claiming', seconds: 2 },
    { doing: 'ending the session of an earlier claim, process 4711', seconds: 3 },
    { doing: 'ending the session of an earlier claim, process 4711', seconds: 3 },
  ]);
});

test('one that fails beats no more', async () => {
  const work = inActivity(() =>
    beating('planning', async () => {
      await lasting(1_500);
      throw new Error('as asked for');
    }),
  );
  const failed = expect(work).rejects.toThrow('as asked for');
  await vi.advanceTimersByTimeAsync(10_000);
  await failed;
  expect(beats).toHaveLength(1);
});
