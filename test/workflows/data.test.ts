import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { until } from '../support/until.js';
import { FakeInstance, fails, Gate, untilCancelled } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const turns = (more: { frontend?: readonly string[] } = {}) =>
  new FakeInstance([
    {
      release: 'v6.0.0',
      steps: { frontend: ['m3', 'm2'], codeintel: ['c2'] },
      data: { frontend: more.frontend ?? ['8', '7'], codeintel: ['5'] },
    },
    { release: 'v5.0.0', steps: { frontend: ['m1'], codeintel: ['c1'] } },
  ]);

const at = (instance: FakeInstance, call: string) => {
  const found = instance.calls.findIndex((each) => each.startsWith(call));
  expect(found, call).toBeGreaterThanOrEqual(0);
  return found;
};

test('data is moved on the schema of its release: behind the barrier of all databases, before the release is recorded', async () => {
  const instance = turns();
  const { report, handle } = await harness.start(instance);
  expect(await report).toMatchObject({ outcome: 'completed', standsAt: 'v5.0.0', stepsDone: 8, stepsTotal: 8 });
  const first = Math.min(at(instance, 'runDataMigration frontend 0 8'), at(instance, 'runDataMigration codeintel 0 5'));
  for (const step of ['done frontend 2', 'done codeintel 1']) expect(at(instance, step)).toBeLessThan(first);
  expect(at(instance, 'done frontend data 0 8')).toBeLessThan(at(instance, 'runDataMigration frontend 0 7'));
  for (const data of ['done frontend data 0 7', 'done codeintel data 0 5']) {
    expect(at(instance, data)).toBeLessThan(at(instance, 'recordRelease 0'));
  }
  expect(at(instance, 'verifyRelease 0')).toBeLessThan(at(instance, 'applyMigration frontend 3'));
  expect(instance.count('runDataMigration')).toBe(3);
  await saveHistory(handle, 'data-migrations');
});

test('databases move their data side by side, and the status names what is moved', async () => {
  const gates = [new Gate(), new Gate()] as const;
  const instance = turns()
    .next('runDataMigration frontend 0 8', gates[0].twist)
    .next('runDataMigration codeintel 0 5', gates[1].twist);
  const { report, status, handle } = await harness.start(instance);
  await Promise.all(gates.map((gate) => gate.reached));
  expect((await status()).data).toMatchObject([
    {
      database: 'frontend',
      id: '8',
      act: 'reverse',
      done: false,
      running: true,
      activityId: 'frontend-data-8-reverse',
    },
    { database: 'frontend', id: '7', done: false, running: false },
    { database: 'codeintel', id: '5', running: true },
  ]);
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toContain('frontend: data migration 8 (reverse) what 8 does');
  gates.forEach((gate) => gate.open());
  expect((await report).outcome).toBe('completed');
});

test('data that does not move parks its database, and goes on after retryStep with a new claim', async () => {
  const instance = turns().next('runDataMigration frontend 0 7', fails('DataStalled', 'nothing moves'));
  const { report, inState, update } = await harness.start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([
    {
      database: 'frontend',
      seq: null,
      migration: '7',
      during: 'data',
      failure: 'DataStalled',
      message: 'nothing moves',
    },
  ]);
  await until(() => instance.calls.includes('yieldClaim frontend parked'), { describe: 'the claim to be given back' });
  expect(instance.count('recordRelease')).toBe(0);
  await update('retryStep', { database: 'frontend' });
  expect((await report).outcome).toBe('completed');
  expect(instance.count('runDataMigration frontend 0 8')).toBe(1);
  expect(instance.count('runDataMigration frontend 0 7')).toBe(2);
});

test('a run that goes on moves only what the journal does not call done', async () => {
  const instance = turns();
  for (const key of ['frontend 1', 'frontend 2', 'codeintel 1', 'frontend data 0 8', 'codeintel data 0 5']) {
    instance.done.add(key);
  }
  const { report } = await harness.start(instance);
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 8 });
  expect(instance.calls.filter((call) => call.startsWith('runDataMigration'))).toEqual([
    'runDataMigration frontend 0 7',
  ]);
});

test('a newer claim of its own making is no end: the data is claimed again and goes on', async () => {
  const instance = turns().next('runDataMigration frontend 0 8', fails('StaleAttempt'));
  const { report } = await harness.start(instance);
  expect((await report).outcome).toBe('completed');
  expect(instance.count('runDataMigration frontend 0 8')).toBe(2);
});

test('where a failover has lost schema steps, they are undone again before the data is', async () => {
  const instance = turns().next('runDataMigration frontend 0 8', (work) => {
    instance.done.delete('frontend 2');
    return work();
  });
  const { report } = await harness.start(instance);
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 8 });
  expect(instance.count('done frontend 2')).toBe(2);
  expect(instance.calls.lastIndexOf('done frontend 2')).toBeLessThan(at(instance, 'done frontend data 0 8'));
});

test('an abort ends a data migration between two batches', async () => {
  const instance = turns().next('runDataMigration frontend 0 8', untilCancelled);
  const { report, update, status } = await harness.start(instance);
  await until(async () => (await status()).data.some(({ running }) => running), { describe: 'data that is moved' });
  await update('abort', { by: 'ann' });
  expect(await report).toMatchObject({ outcome: 'aborted', standsAt: null });
  expect(instance.count('recordRelease')).toBe(0);
  expect(instance.ended).toBe('aborted');
});

test('a plan that begins with the data of the release that stands moves it before any schema step', async () => {
  const instance = new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: [] }, data: { frontend: ['7'] } },
    { release: 'v5.0.0', steps: { frontend: ['m1'] } },
  ]);
  const { report } = await harness.start(instance);
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 2, stepsTotal: 2 });
  expect(at(instance, 'done frontend data 0 7')).toBeLessThan(at(instance, 'applyMigration frontend 1'));
});

test('what could not be looked at behind a leg is a warning of the run', async () => {
  const text = 'frontend data migration 7: its progress could not be asked';
  const instance = new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m2'] }, data: { frontend: ['7'] } },
    { release: 'v5.0.0', steps: { frontend: ['m1'] } },
  ]).next('verifyRelease 0', () => ({ release: 'v6.0.0', reasons: [], drift: {}, warnings: [text] }));
  const { report } = await harness.start(instance);
  expect(await report).toMatchObject({ outcome: 'completed', warnings: [text] });
});
