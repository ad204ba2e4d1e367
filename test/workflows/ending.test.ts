import { CancelledFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { until } from '../support/until.js';
import { dirty, FakeInstance, fails, Gate } from './fake-instance.js';
import { type Harness, openHarness, refusalOf } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const twoLegs = () =>
  new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m4', 'm3'], codeintel: ['c3', 'c2'] } },
    { release: 'v5.0.0', steps: { frontend: ['m2'], codeintel: ['c1'] } },
  ]);

test('an abort lets running steps end, begins none, and names every step that was not reached', async () => {
  const gate = new Gate();
  const instance = twoLegs()
    .next('applyMigration frontend 1', gate.twist)
    .next('applyMigration codeintel 2', fails('StepFailed'));
  const { inState, update, report } = await harness.start(instance);
  await gate.reached;
  await inState('needsOperator'); // codeintel, at its second step
  const status = await update('abort', { by: 'ann', why: 'enough' });
  expect(status).toMatchObject({ parked: [], decisions: [{ kind: 'abort', by: 'ann', why: 'enough' }] });
  expect(status.waitingFor).toContain('the steps that are running');
  expect(await refusalOf(update('abort'))).toContain(
    'The run is being aborted; it ends when the running steps have ended. The last decision: "abort" of ann',
  );
  gate.open();

  const result = await report;
  expect(result).toMatchObject({ outcome: 'aborted', standsAt: null, stepsDone: 2, stepsTotal: 6 });
  expect(result.legs).toEqual([
    {
      release: 'v6.0.0',
      closed: false,
      done: { frontend: 1, codeintel: 1 },
      notReached: { frontend: ['m3'], codeintel: ['c2'] },
    },
    {
      release: 'v5.0.0',
      closed: false,
      done: { frontend: 0, codeintel: 0 },
      notReached: { frontend: ['m2'], codeintel: ['c1'] },
    },
  ]);
  expect(instance.done).toEqual(new Set(['frontend 1', 'codeintel 1']));
  expect(instance.ended).toBe('aborted');
  expect(instance.tokens.size).toBe(0);
  expect(instance.decisions).toMatchObject([{ kind: 'abort', by: 'ann' }]);
});

test('an abort while a database cannot be reached does not wait for it', async () => {
  const instance = twoLegs();
  instance.next('makePlan', ...Array.from({ length: 50 }, () => fails('DatabaseUnreachable')));
  const { update, report } = await harness.start(instance);
  await until(() => instance.count('makePlan') > 1, { describe: 'the plan to be tried again' });
  await update('abort');
  expect(await report).toMatchObject({ outcome: 'aborted', plan: null, legs: [] });
  expect(instance.ended).toBeNull();
});

test('an abort during planning that is parked ends the run', async () => {
  const instance = twoLegs().next('makePlan', fails('NoLedger'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  await update('abort', null);
  expect(await report).toMatchObject({ outcome: 'aborted', plan: null });
});

test('an abort of an instance that is there already but dirty ends the run', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: [] }, closed: true }]);
  instance.next('checkDirty', dirty('frontend'));
  const { inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([{ database: 'frontend', during: 'check' }]);
  await update('abort');
  expect((await report).outcome).toBe('aborted');
});

test('an instance that is there already takes no update while its end is recorded, which it could not carry out', async () => {
  const gate = new Gate();
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: [] }, closed: true }]).next(
    'endRun',
    gate.twist,
  );
  const { update, report, status } = await harness.start(instance);
  await gate.reached;
  for (const name of ['turnBack', 'abort']) expect(await refusalOf(update(name))).toContain('already ended');
  gate.open();
  expect((await report).outcome).toBe('alreadyThere');
  expect((await status()).state).toBe('completed');
});

test('a claim that cannot be given back is a warning, not a failure', async () => {
  const instance = twoLegs().next('yieldClaim', fails('JournalIncomplete', 'the server is a standby now'));
  const result = await (await harness.start(instance)).report;
  expect(result.outcome).toBe('completed');
  expect(result.warnings).toEqual([expect.stringContaining('the server is a standby now')]);
});

test('an end that cannot be recorded parks; an abort then still works', async () => {
  const instance = twoLegs().next('endRun', fails('JournalIncomplete'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  expect(await refusalOf(update('turnBack'))).toContain('only its end could not be recorded');
  await update('abort');
  expect(await report).toMatchObject({ outcome: 'aborted', standsAt: 'v5.0.0', stepsDone: 6 });
});

test('a cancelled run waits for its running step, gives its claims back and ends as cancelled', async () => {
  const gate = new Gate();
  const instance = twoLegs()
    .next('applyMigration frontend 1', gate.twist)
    .next('checkDirty codeintel 1', dirty('codeintel'));
  const { handle, inState, report } = await harness.start(instance);
  await gate.reached;
  await inState('needsOperator');
  await handle.cancel();
  await until(
    async () => (await handle.fetchHistory()).events?.some((event) => event.activityTaskCancelRequestedEventAttributes),
    {
      describe: 'the cancel to reach the step',
      show: () => null,
    },
  );
  expect(instance.ended).toBeNull();
  gate.open();
  const error = (await report.catch((thrown: unknown) => thrown)) as Error;
  expect(error.cause).toBeInstanceOf(CancelledFailure);
  expect((await handle.describe()).status.name).toBe('CANCELLED');
  expect(instance.ended).toBe('cancelled');
  expect(instance.tokens.size).toBe(0);
  expect(instance.count('applyMigration')).toBe(1);
});

test('a run that waits for approval can be cancelled', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'] } }], { destructiveSteps: 1 });
  const { handle, inState, report } = await harness.start(instance);
  await inState('awaitingApproval');
  await handle.cancel();
  await expect(report).rejects.toThrow();
  expect(instance.ended).toBe('cancelled');
});

test.each([
  ['at its end', 'COMPLETED', twoLegs()],
  ['when it parks', 'CANCELLED', twoLegs().next('applyMigration frontend 1', fails('StepFailed'))],
])('a cancel while a run tries to give its claims back, %s, does not keep them', async (_, ending, instance) => {
  instance.next('yieldClaim', ...Array.from({ length: 3 }, () => fails('DatabaseUnreachable')));
  const { handle, report } = await harness.start(instance);
  await until(() => instance.count('yieldClaim') > 1, {
    describe: 'the claims to be given back, in vain',
    within: 30_000,
  });
  await handle.cancel();
  await report.catch(() => undefined);
  expect((await handle.describe()).status.name).toBe(ending);
  expect(instance.tokens.size).toBe(0);
});
