import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { PlanSummary } from '../../src/contract/activities.js';
import type { HookActivity } from '../../src/contract/hooks.js';
import type { Notice } from '../../src/contract/notices.js';
import { newQueue, startHandlers } from '../support/handler-worker.js';
import { until } from '../support/until.js';
import { dirty, FakeInstance, fails, Gate, PLAN } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const told = (summary: Partial<PlanSummary> = {}) =>
  new FakeInstance(
    [
      { release: 'v6.0.0', steps: { frontend: ['m3'], codeintel: ['c2'] } },
      { release: 'v5.0.0', steps: { frontend: ['m2'], codeintel: ['c1'] } },
    ],
    { hooks: { notify: 'webhook' }, ...summary },
  );
const untilNoticed = (instance: FakeInstance, events: readonly string[]) =>
  until(() => instance.notices.length === events.length, {
    describe: `the events ${events.join(', ')}`,
    show: () => instance.notices,
  }).then(() => expect(instance.notices.map(({ event }) => event)).toEqual(events));

test('a run tells that it waits for consent, is parked, stands at a stop and has ended, with what to type', async () => {
  const instance = told({ destructiveSteps: 2, stops: [0] }).next('checkDirty codeintel 1', dirty('codeintel'));
  const { handle, update, inState, report } = await harness.start(instance);
  await inState('awaitingApproval');
  await untilNoticed(instance, ['awaitingApproval']);
  const { run } = await update('approve', { plan: PLAN });
  await inState('needsOperator');
  await untilNoticed(instance, ['awaitingApproval', 'parked']);
  await update('retryStep');
  await inState('atStop');
  await untilNoticed(instance, ['awaitingApproval', 'parked', 'atStop']);
  await update('continue');
  expect(await report).toMatchObject({ outcome: 'completed', warnings: [] });
  await untilNoticed(instance, ['awaitingApproval', 'parked', 'atStop', 'completed']);

  const [consent, parked, stop, end] = instance.notices as [Notice, Notice, Notice, Notice];
  expect(instance.notices.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
  const keys = instance.notices.map(({ idempotencyKey }) => idempotencyKey);
  keys.forEach((key, at) => expect(key).toMatch(new RegExp(`^${run}-notify-${at + 1}-[0-9a-f]{8}$`)));
  expect(consent).toMatchObject({ hook: 'notify', version: 1, release: 'v9.0.0', next: 'v6.0.0', parked: null });
  expect(consent.commands[0]).toContain(`--name approve --input '{"plan":"${PLAN}"}'`);
  expect(parked).toMatchObject({
    leg: 1,
    parked: { database: 'codeintel', during: 'check', failure: 'DirtyDatabase', migration: 'c2' },
  });
  expect(parked.parked?.reasons).toEqual(['changedByOthers']);
  expect(parked.message).toContain('"codeintel" is parked during check of c2 (step 1): DirtyDatabase.');
  expect(parked.waitingFor).toContain('"retryStep"');
  expect(parked.commands.map((line) => /--name (\w+)/.exec(line)?.[1])).toEqual([
    'retryStep',
    'acceptDirty',
    'skipStep',
    'abort',
    'turnBack',
  ]);
  expect(stop).toMatchObject({
    release: 'v6.0.0',
    next: 'v5.0.0',
    stop: { number: 1, of: 1 },
    releasesLeft: ['v5.0.0'],
  });
  expect(end).toMatchObject({ release: 'v5.0.0', next: null, waitingFor: null, commands: [], releasesLeft: [] });
  expect(end.result).toMatchObject({ outcome: 'completed', stepsDone: 4, stepsTotal: 4 });
  await saveHistory(handle, 'notices');
});

test('a run that is parked is so before anybody has been told, and goes on while a notification hangs', async () => {
  const gate = new Gate();
  const instance = told().next('notify 1', gate.twist).next('applyMigration frontend 1', fails('StepFailed'));
  const { update, inState, report } = await harness.start(instance);
  await inState('needsOperator');
  await until(() => instance.count('yieldClaim frontend parked') === 1, { describe: 'the claim to be given back' });
  await gate.reached;
  await update('retryStep');
  await until(() => instance.ended === 'completed', { describe: 'the run to be recorded as completed' });
  await until(() => instance.notices.length === 1, { describe: 'the end to be told' });
  gate.open();
  expect(await report).toMatchObject({ outcome: 'completed', warnings: [] });
  expect(instance.notices.map(({ event }) => event)).toEqual(['completed', 'parked']);
});

test('a notification that fails is a warning of the run', async () => {
  const instance = told().next('notify 1', fails('HookFailed', 'nobody was told'));
  const { report } = await harness.start(instance);
  const { outcome, warnings } = await report;
  expect(outcome).toBe('completed');
  expect(warnings).toEqual([expect.stringMatching(/hooks\.notify: "completed" could not be told: nobody was told$/)]);
});

test('an abort and a cancel are told, and each once', async () => {
  for (const [event, end] of [
    ['aborted', (run: Awaited<ReturnType<Harness['start']>>) => run.update('abort')],
    ['cancelled', (run: Awaited<ReturnType<Harness['start']>>) => run.handle.cancel()],
  ] as const) {
    const instance = told().next('applyMigration frontend 1', fails('StepFailed'));
    const run = await harness.start(instance);
    await run.inState('needsOperator');
    await untilNoticed(instance, ['parked']);
    await end(run);
    await run.report.catch(() => undefined);
    await untilNoticed(instance, ['parked', event]);
  }
});

/** As the activity says where there is no plan yet. */
const OUTLETS = { outlets: { searchAttributes: true, notify: 'webhook' } };

test('a planning that is parked is told and can be found in the list, before there is a plan', async () => {
  const unknown = fails('UnknownMigration', '1771 is applied and no release knows it', OUTLETS);
  const instance = told().next('makePlan', unknown);
  const { handle, update, inState, report } = await harness.start(instance, { input: { to: 'v5.0.0' } });
  await inState('needsOperator');
  await untilNoticed(instance, ['parked']);
  expect(instance.notices[0]).toMatchObject({
    plan: null,
    from: null,
    to: 'v5.0.0',
    release: null,
    legs: 0,
    releasesLeft: [],
    message: expect.stringContaining('The instance is parked during plan: UnknownMigration.'),
    parked: { database: null, during: 'plan' },
  });
  const { searchAttributes } = await handle.describe();
  expect(searchAttributes).toMatchObject({ UnwindState: ['needsOperator'], UnwindTarget: ['v5.0.0'] });
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
  expect(instance.notices.map(({ number, event, plan }) => [number, event, plan])).toEqual([
    [1, 'parked', null],
    [2, 'completed', PLAN],
  ]);
});

test('a run that fails is told, with what it says', async () => {
  const instance = told().next('makePlan', fails('UnknownRelease', 'v5.0.0 is no release of shop', OUTLETS));
  const { report } = await harness.start(instance);
  await expect(report).rejects.toThrow();
  expect(instance.notices).toMatchObject([
    { event: 'failed', plan: null, message: expect.stringContaining('failed: v5.0.0 is no release of shop') },
  ]);
});

test('of a run that is turned back the way there and the way back are told', async () => {
  const instance = told().next('applyMigration frontend 1', fails('StepFailed'));
  const { update, inState, report } = await harness.start(instance);
  await inState('needsOperator');
  await update('turnBack', { by: 'ann' });
  await report;
  await untilNoticed(instance, ['parked', 'aborted', 'completed']);
  expect(instance.notices[1]?.message).toContain('is turned back to v9.0.0');
});

test('an activity of the operator is told by the workflow, and one that nobody serves is a warning', async () => {
  const seen: unknown[] = [];
  const taskQueue = newQueue();
  await startHandlers(taskQueue, { tellUs: (notice: unknown) => void seen.push(notice) });
  const activity: HookActivity = {
    taskQueue,
    type: 'tellUs',
    timeoutSeconds: 30,
    heartbeatSeconds: null,
    attempts: 2,
  };
  const options = {
    stepTimeoutSeconds: 60,
    heartbeatTimeoutSeconds: 5,
    maximumAttempts: null,
    workerWaitSeconds: 1,
  };
  const instance = told({ hooks: { notify: 'activity' }, options })
    .next('notify 1', () => ({ told: false, activity }))
    .next('notify 2', () => ({ told: false, activity: { ...activity, taskQueue: newQueue() } }))
    .next('applyMigration frontend 1', fails('StepFailed'));
  const { update, inState, report } = await harness.start(instance);
  await inState('needsOperator');
  await until(() => seen.length === 1, { describe: 'the activity to be called' });
  expect(seen[0]).toMatchObject({ hook: 'notify', event: 'parked', number: 1 });
  await update('retryStep');
  expect((await report).warnings).toEqual([expect.stringContaining('"completed" could not be told')]);
});

test('the run of a data migration tells its end', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: [] }, data: { frontend: ['7'] } }], {
    hooks: { notify: 'webhook' },
  });
  const { report } = await harness.start(instance, { type: 'dataMigration' });
  await report;
  expect(instance.notices).toMatchObject([
    { event: 'completed', dataMigration: { id: '7', direction: 'reverse' }, message: expect.stringContaining('7') },
  ]);
});
