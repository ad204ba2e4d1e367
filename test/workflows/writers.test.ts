import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { LegRef } from '../../src/contract/activities.js';
import type { Writer } from '../../src/contract/writers.js';
import { until } from '../support/until.js';
import { FakeInstance, fails, Gate, untilCancelled } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const WRITER: Writer = { database: 'frontend', role: 'app', application: 'shop', sessions: 2 };
const twoLegs = () =>
  new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m2'] } },
    { release: 'v5.0.0', steps: { frontend: ['m1'] } },
  ]);
const beside = (policy: 'warn' | 'wait') => async (work: () => Promise<unknown>) => ({
  ...((await work()) as LegRef), // as: the answer of readLeg
  writers: { policy, found: [WRITER] },
});

test('beside sessions of others a leg begins with a warning that names them, where the policy is to warn', async () => {
  const instance = twoLegs().next('readLeg 0', beside('warn')).next('readLeg 1', beside('warn'));
  const report = await (await harness.start(instance)).report;
  expect(report.outcome).toBe('completed');
  expect(report.warnings).toEqual([
    expect.stringMatching(/^"shop" \(role app, 2 sessions\) on frontend is connected: stop the services/),
  ]);
  expect(instance.count('awaitWriters')).toBe(0);
});

test('where the policy is to wait, no step of the leg begins before they are gone, and status and details say for whom', async () => {
  const gate = new Gate();
  const instance = twoLegs().next('readLeg 1', beside('wait')).next('awaitWriters v5.0.0', gate.twist);
  const { handle, report, status } = await harness.start(instance);
  await gate.reached;
  expect(await status()).toMatchObject({
    state: 'waiting',
    release: 'v5.0.0',
    stepsDone: 1,
    writers: [WRITER],
    waitingFor: expect.stringContaining('"shop" (role app, 2 sessions) on frontend') as string,
  });
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toMatch(/^\*\*waiting\*\*[^]*"shop" \(role app, 2 sessions\) on frontend/);
  expect(instance.count('applyMigration frontend 2')).toBe(0);
  gate.open();
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 2, warnings: [] });
  expect(instance.count('readLeg 1')).toBe(2); // whoever came meanwhile is seen
  expect(await status()).not.toHaveProperty('writers');
  await saveHistory(handle, 'waited-for-writers');
});

test('a wait that nobody ends is asked again, and the one who is there then is shown', async () => {
  const gate = new Gate();
  const other = { ...WRITER, application: 'worker' };
  const instance = twoLegs()
    .next('readLeg 0', beside('wait'), async (work) => ({
      ...((await work()) as LegRef), // as: the answer of readLeg
      writers: { policy: 'wait', found: [other] },
    }))
    .next('awaitWriters', () => ({ writers: [other] }), gate.twist);
  const { report, status } = await harness.start(instance);
  await gate.reached;
  expect((await status()).writers).toEqual([other]);
  gate.open();
  expect((await report).outcome).toBe('completed');
});

test('a pause ends the wait and gives the claims back; after the resume the sessions are looked for anew', async () => {
  const instance = twoLegs().next('readLeg 0', beside('wait')).next('awaitWriters', untilCancelled);
  const { report, update, inState } = await harness.start(instance);
  await inState('waiting');
  await update('pause');
  await inState('paused');
  await until(() => instance.calls.includes('yieldClaim frontend paused'), { describe: 'the claim to be given back' });
  await update('resume');
  expect((await report).outcome).toBe('completed');
  expect(instance.count('readLeg 0')).toBe(2);
  expect(instance.count('claim ')).toBe(2);
});

test('an abort ends the wait, and so does a cancellation of the workflow', async () => {
  const aborted = twoLegs().next('readLeg 0', beside('wait')).next('awaitWriters', untilCancelled);
  const run = await harness.start(aborted);
  await run.inState('waiting');
  await run.update('abort');
  expect(await run.report).toMatchObject({ outcome: 'aborted', stepsDone: 0 });
  expect(aborted.ended).toBe('aborted');

  const cancelled = twoLegs().next('readLeg 0', beside('wait')).next('awaitWriters', untilCancelled);
  const other = await harness.start(cancelled);
  await other.inState('waiting');
  await other.handle.cancel();
  await expect(other.report).rejects.toThrow();
  expect(cancelled.ended).toBe('cancelled');
});

test('a refusal parks the instance, and retryStep looks again', async () => {
  const instance = twoLegs().next('readLeg 0', fails('ActiveWriters', '"shop" is connected'));
  const { report, update, inState } = await harness.start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([
    { database: null, failure: 'ActiveWriters', message: '"shop" is connected' },
  ]);
  await until(() => instance.calls.includes('yieldClaim frontend parked'), { describe: 'the claim to be given back' });
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
});

test.each([
  ['waited for', beside('wait')],
  ['refused', fails('ActiveWriters', '"shop" is connected')],
] as const)('data that was taken back is asked once more when writers that were %s have gone', async (_, found) => {
  const instance = new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m2'] }, data: { frontend: ['7'] } },
    { release: 'v5.0.0', steps: { frontend: ['m1'] } },
  ]).next('readLeg 1', found);
  const { report, update, inState } = await harness.start(instance);
  if (_ === 'refused') {
    await inState('needsOperator');
    await update('retryStep');
  }
  expect((await report).outcome).toBe('completed');
  expect(instance.count('verifyRelease 0')).toBe(2);
  const again = instance.calls.lastIndexOf('verifyRelease 0');
  expect(instance.calls.findIndex((call) => call.startsWith('applyMigration frontend 2'))).toBeGreaterThan(again);
});
