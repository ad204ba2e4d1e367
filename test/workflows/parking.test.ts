import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { until } from '../support/until.js';
import { dirty, failure, FakeInstance, fails, Gate } from './fake-instance.js';
import { type Harness, openHarness, refusalOf } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const threeSteps = (summary = {}) =>
  new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m3', 'm2', 'm1'] } }], summary);
const twoDatabases = () =>
  new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m3', 'm2'], codeintel: ['c2', 'c1'] } }]);

test('a dirty database parks with its reasons, gives its claim back, and goes on after retryStep', async () => {
  const instance = threeSteps().next('checkDirty frontend 2', dirty('frontend'));
  const { handle, inState, update, report } = await harness.start(instance);
  const parked = await inState('needsOperator');

  expect(parked.parked).toEqual([
    {
      database: 'frontend',
      seq: 2,
      migration: 'm2',
      during: 'check',
      failure: 'DirtyDatabase',
      message: expect.stringContaining('retryStep'),
      reasons: [expect.objectContaining({ code: 'changedByOthers', remedy: 'drop table public.surprise;' })],
      since: expect.any(String),
    },
  ]);
  expect(parked.waitingFor).toContain('frontend (check: DirtyDatabase)');
  await until(() => instance.calls.includes('yieldClaim frontend parked'), { describe: 'the claim to be given back' });
  const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain('drop table public.surprise;');
  expect(metadata.currentDetails).toContain(`--workflow-id ${handle.workflowId} --name retryStep`);
  expect((await handle.describe()).typedSearchAttributes.getAll()).toContainEqual(
    expect.objectContaining({ key: expect.objectContaining({ name: 'UnwindDirtyReason' }), value: 'changedByOthers' }),
  );

  const after = await update('retryStep', { by: 'ann', why: 'dropped it' });
  expect(after).toMatchObject({ parked: [], decisions: [{ kind: 'retryStep', by: 'ann', why: 'dropped it' }] });
  expect(await report).toMatchObject({ outcome: 'completed', decisions: [{ kind: 'retryStep', by: 'ann' }] });
  expect(instance.decisions).toEqual([
    expect.objectContaining({ kind: 'retryStep', by: 'ann', why: 'dropped it', details: { database: 'frontend' } }),
  ]);
  const yielded = instance.calls.indexOf('yieldClaim frontend parked');
  const claimed = instance.calls.indexOf('claim frontend', yielded);
  expect(claimed).toBeGreaterThan(yielded);
  expect(instance.calls.indexOf('checkDirty frontend 2', claimed)).toBeGreaterThan(claimed);
  expect(instance.count('applyMigration')).toBe(3);
  await saveHistory(handle, 'parked-then-resumed');
});

test('a step that cannot be cured by a repeat parks its database; the others go on to the boundary', async () => {
  const instance = twoDatabases().next('applyMigration frontend 1', fails('StepFailed', '42P01 at public.jobs'));
  const { inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked[0]).toMatchObject({
    database: 'frontend',
    seq: 1,
    during: 'step',
    failure: 'StepFailed',
    message: '42P01 at public.jobs',
  });
  await until(() => instance.done.has('codeintel 2'), { describe: 'codeintel to reach the boundary' });
  expect(instance.count('recordRelease')).toBe(0);
  await update('retryStep');
  expect((await report).stepsDone).toBe(4);
  expect(instance.count('checkDirty frontend 1')).toBe(2);
  expect(instance.count('applyMigration frontend 1')).toBe(2);
});

test('a failure that a repeat can cure is retried without anyone', async () => {
  const instance = threeSteps().next('applyMigration frontend 1', fails('InstanceBusy'));
  expect((await (await harness.start(instance)).report).outcome).toBe('completed');
  expect(instance.count('applyMigration frontend 1')).toBe(2);
});

test('attempts that are used up park', async () => {
  const options = { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: 30, maximumAttempts: 1 };
  const instance = threeSteps({ options }).next('applyMigration frontend 2', fails('StepInterrupted'));
  const { inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked[0]).toMatchObject({ seq: 2, failure: 'StepInterrupted' });
  await update('retryStep', {});
  expect((await report).outcome).toBe('completed');
});

test('a step that runs out of its time is not tried again but parks', async () => {
  const options = { stepTimeoutSeconds: 1, heartbeatTimeoutSeconds: 30, maximumAttempts: null };
  const gate = new Gate();
  const instance = threeSteps({ options }).next('applyMigration frontend 1', gate.twist);
  const { inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked[0]).toMatchObject({ seq: 1, failure: 'Timeout:START_TO_CLOSE' });
  expect(instance.count('applyMigration')).toBe(1);
  gate.open(); // the late attempt finds its claim given back and does nothing
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
  expect(instance.calls.filter((call) => call === 'done frontend 1')).toHaveLength(1);
});

test('an attempt whose claim is no longer the newest claims again and goes on', async () => {
  const instance = threeSteps().next('applyMigration frontend 2', fails('StaleAttempt'));
  expect((await (await harness.start(instance)).report).outcome).toBe('completed');
  expect(instance.count('claim frontend')).toBe(2);
  expect(instance.count('yieldClaim')).toBe(1);
});

test('three stale attempts in a row are a rival: the database parks', async () => {
  const stale = fails('StaleAttempt');
  const instance = threeSteps().next('applyMigration frontend 2', stale, stale, stale);
  const { inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked[0]).toMatchObject({ seq: 2, failure: 'StaleAttempt' });
  expect(instance.count('applyMigration frontend 2')).toBe(3);
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
});

test('planning that needs a person parks, and retryStep plans again', async () => {
  const instance = threeSteps().next('makePlan', fails('UnknownMigration', '1771 is applied and no release knows it'));
  const { inState, update, report } = await harness.start(instance);
  expect(await inState('needsOperator')).toMatchObject({
    plan: null,
    parked: [{ database: null, during: 'plan', failure: 'UnknownMigration' }],
  });
  await update('retryStep', { by: 'ann' });
  expect((await report).outcome).toBe('completed');
  expect(instance.count('makePlan')).toBe(2);
});

test('a claim that another workflow holds parks the instance', async () => {
  const instance = threeSteps().next('claim', fails('ClaimedByAnother'));
  const { inState, update, report } = await harness.start(instance, { input: { takeOver: true } });
  expect((await inState('needsOperator')).parked[0]).toMatchObject({ during: 'claim', failure: 'ClaimedByAnother' });
  await update('retryStep');
  expect(await report).toMatchObject({
    outcome: 'completed',
    decisions: [{ kind: 'takeOver' }, { kind: 'retryStep' }],
  });
  expect(instance.calls.indexOf('recordDecision takeOver')).toBeLessThan(instance.calls.indexOf('claim frontend'));
});

test('a release that does not verify parks the instance', async () => {
  const reason = { code: 'invalidIndex', database: 'frontend', evidence: 'jobs_idx is invalid', remedy: 'reindex' };
  const instance = threeSteps().next('verifyRelease', () => ({ release: 'v5.0.0', reasons: [reason], drift: {} }));
  const { inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked[0]).toMatchObject({
    database: null,
    during: 'verify',
    reasons: [reason],
  });
  await update('retryStep');
  expect((await report).standsAt).toBe('v5.0.0');
  expect(instance.count('recordRelease')).toBe(1);
  expect(instance.count('verifyRelease')).toBe(2);
});

test('retryStep asks which database where several are parked, and refuses where none is', async () => {
  const gate = new Gate();
  const instance = twoDatabases()
    .next('makePlan', gate.twist)
    .next('applyMigration frontend 1', fails('StepFailed'))
    .next('applyMigration codeintel 1', fails('StepFailed'));
  const { status, update, report } = await harness.start(instance);
  await gate.reached;
  expect(await refusalOf(update('retryStep'))).toMatch(/Nothing is parked.*"planning"/);
  gate.open();
  await until(async () => (await status()).parked.length === 2, { describe: 'both databases to be parked' });
  expect(await refusalOf(update('retryStep'))).toContain('{"database":"codeintel"} or {"database":"frontend"}');
  expect(await refusalOf(update('retryStep', { database: 'codeinsights' }))).toContain('"codeinsights" is not parked');
  expect(await refusalOf(update('retryStep', { databse: 'frontend' }))).toContain('databse');
  expect((await update('retryStep', { database: 'codeintel' })).parked).toHaveLength(1);
  await update('retryStep');
  expect((await report).stepsDone).toBe(4);
});

test('retryStep works where its record cannot be written, and the report says so', async () => {
  const instance = threeSteps()
    .next('checkDirty frontend 1', dirty('frontend'))
    .next('recordDecision', fails('JournalIncomplete', 'the server is a standby'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  await update('retryStep');
  expect(await report).toMatchObject({
    outcome: 'completed',
    decisions: [{ kind: 'retryStep' }],
    warnings: [expect.stringContaining('the server is a standby')],
  });
});

test('after a failover that lost commits inside the leg, the lost steps run again by themselves', async () => {
  const instance = threeSteps();
  instance.next('checkDirty frontend 3', async (work) => {
    instance.done.delete('frontend 2'); // the promoted standby never had them
    instance.done.delete('frontend 1');
    instance.timeline = 2;
    return work();
  });
  const { report } = await harness.start(instance);

  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 3, stepsTotal: 3 });
  expect(instance.calls.filter((call) => call.startsWith('done '))).toEqual([
    'done frontend 1',
    'done frontend 2',
    'done frontend 1',
    'done frontend 2',
    'done frontend 3',
  ]);
  expect(Math.max(...instance.timelinesSeen.map((seen) => seen ?? 0)), 'the run remembers the newer timeline').toBe(2);
});

test('commits that were lost behind a closed boundary park the run with the way out', async () => {
  const instance = new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m3'] } },
    { release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } },
  ]);
  instance.next('checkDirty frontend 2', async (work) => {
    instance.done.delete('frontend 1');
    return work();
  });
  const { inState, update, report } = await harness.start(instance);

  const parked = await inState('needsOperator');
  expect(parked.parked).toMatchObject([{ during: 'step', failure: 'JournalBehind', seq: 2 }]);
  expect(parked.parked[0]?.message).toContain('abort');
  await update('abort', { by: 'ann' });
  expect(await report).toMatchObject({ outcome: 'aborted' });
});

test('commits lost after the last step of a leg are made good before its boundary is closed', async () => {
  const instance = threeSteps();
  instance.next('recordRelease 0', () => {
    instance.done.delete('frontend 3');
    throw failure('JournalBehind', 'step 3 is not done');
  });
  const { report } = await harness.start(instance);
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 3 });
  expect(instance.calls.filter((call) => call === 'done frontend 3')).toHaveLength(2);
  expect(instance.count('recordRelease')).toBe(2);
});
