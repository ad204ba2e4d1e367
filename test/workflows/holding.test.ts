import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { until } from '../support/until.js';
import { FakeInstance, fails, Gate, untilCancelled } from './fake-instance.js';
import { type Harness, openHarness, refusalOf } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const twoDatabases = () =>
  new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m4', 'm3'], codeintel: ['c2'] } },
    { release: 'v5.0.0', steps: { frontend: ['m2'], codeintel: ['c1'] } },
  ]);
const detailsOf = async (handle: { query<T>(name: string): Promise<T> }) =>
  (await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;

test('a pause lets the running script end, begins nothing, gives the claims back, and a resume goes on with a check', async () => {
  const gate = new Gate();
  const instance = twoDatabases().next('applyMigration frontend 1', gate.twist);
  const { handle, update, report, status } = await harness.start(instance);
  await gate.reached;
  expect((await update('pause', { by: 'ann', why: 'to look at it' })).state).toBe('paused');
  expect(await refusalOf(update('pause'))).toContain('paused already');
  expect(await refusalOf(update('continue'))).toContain('does not wait at a release');
  gate.open();
  for (const database of ['frontend', 'codeintel']) {
    await until(() => instance.calls.includes(`yieldClaim ${database} paused`), { describe: `${database} given back` });
  }
  expect(instance.count('recordRelease')).toBe(0);
  expect(instance.count('applyMigration frontend 2')).toBe(0);
  expect((await status()).waitingFor).toContain('"resume"');
  expect(await detailsOf(handle)).toContain('--name resume');

  await update('resume', { by: 'ann' });
  expect(await report).toMatchObject({
    outcome: 'completed',
    stepsDone: 5,
    decisions: [
      { kind: 'pause', by: 'ann', why: 'to look at it' },
      { kind: 'resume', by: 'ann' },
    ],
  });
  const yielded = instance.calls.indexOf('yieldClaim frontend paused');
  const claimed = instance.calls.findIndex((call, at) => at > yielded && call.startsWith('claim'));
  expect(claimed).toBeGreaterThan(yielded);
  expect(instance.calls.indexOf('checkDirty frontend 2', claimed)).toBeGreaterThan(claimed);
  expect(instance.count('applyMigration')).toBe(5);
  expect(instance.decisions.map(({ kind }) => kind)).toEqual(['pause', 'resume']);
  await saveHistory(handle, 'paused-then-resumed');
});

test('a pause gives back the claim of a database that waits at the barrier already', async () => {
  const gate = new Gate();
  const instance = twoDatabases().next('applyMigration frontend 2', gate.twist);
  const { update, report } = await harness.start(instance);
  await gate.reached;
  await until(() => instance.done.has('codeintel 1'), { describe: 'codeintel at the barrier' });
  await update('pause');
  expect(instance.calls).toContain('yieldClaim codeintel paused');
  gate.open();
  await until(() => instance.calls.includes('yieldClaim frontend paused'), { describe: 'frontend given back' });
  await update('resume');
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 5 });
});

test('a retry in a paused run begins nothing before the resume', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'] } }]);
  instance.next('applyMigration frontend 1', fails('StepFailed'));
  const { update, report, inState } = await harness.start(instance);
  await inState('needsOperator');
  await update('pause');
  await update('retryStep');
  await inState('paused');
  expect(instance.count('applyMigration')).toBe(1);
  expect(instance.count('claim ')).toBe(1);
  await update('resume');
  expect((await report).outcome).toBe('completed');
});

test('a pause stops a data migration between two batches, and a resume goes on with the same one', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'] }, data: { frontend: ['7'] } }]);
  instance.next('runDataMigration frontend 0 7', untilCancelled);
  const { update, report, status } = await harness.start(instance);
  await until(async () => (await status()).data.some(({ running }) => running), { describe: 'data that is moved' });
  await update('pause');
  await until(() => instance.calls.includes('yieldClaim frontend paused'), { describe: 'the claim to be given back' });
  expect(instance.done.has('frontend data 0 7')).toBe(false);
  await update('resume');
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 2 });
  expect(instance.count('runDataMigration frontend 0 7')).toBe(2);
});

test('a pause before the consent holds what comes after it', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'] } }], { destructiveSteps: 1 });
  const { update, report, inState } = await harness.start(instance);
  const { plan } = await inState('awaitingApproval');
  await update('pause');
  await update('approve', { plan });
  expect((await inState('paused')).stepsDone).toBe(0);
  expect(instance.count('applyMigration')).toBe(0);
  await update('resume');
  expect((await report).outcome).toBe('completed');
});

test('an abort ends a paused run where it stands', async () => {
  const gate = new Gate();
  const instance = twoDatabases().next('applyMigration frontend 1', gate.twist);
  const { update, report } = await harness.start(instance);
  await gate.reached;
  await update('pause');
  gate.open();
  await update('abort');
  expect(await report).toMatchObject({ outcome: 'aborted', standsAt: null });
  expect(instance.count('applyMigration frontend 2')).toBe(0);
});

test('behind a release that the way names the run waits, with its claims given back, until somebody says continue', async () => {
  const instance = new FakeInstance(
    [
      { release: 'v6.0.0', steps: { frontend: ['m3'], codeintel: ['c3'] } },
      { release: 'v5.5.0', steps: { frontend: ['m2'], codeintel: ['c2'] } },
      { release: 'v5.0.0', steps: { frontend: ['m1'], codeintel: ['c1'] } },
    ],
    { stops: [0] },
  );
  const { handle, update, report, inState } = await harness.start(instance, { input: { via: ['v6.0.0'] } });
  const waiting = await inState('atStop');
  expect(waiting).toMatchObject({ leg: 1, release: 'v6.0.0', stepsDone: 2 });
  expect(waiting.waitingFor).toContain('all databases stand at v6.0.0');
  expect(await detailsOf(handle)).toContain('--name continue');
  await until(() => instance.calls.includes('yieldClaim frontend,codeintel paused'), {
    describe: 'the claims given back',
  });
  expect(instance.calls).toContain('verifyRelease 0');
  expect(await refusalOf(update('continue', { release: 'v5.5.0' }))).toContain('waits at v6.0.0, not at "v5.5.0"');
  await update('continue', { release: 'v6.0.0', by: 'ann' });
  expect(await report).toMatchObject({
    outcome: 'completed',
    stepsDone: 6,
    decisions: [{ kind: 'continue', by: 'ann' }],
  });
  expect(instance.decisions).toMatchObject([{ kind: 'continue', details: { release: 'v6.0.0' } }]);
  await saveHistory(handle, 'stop-on-the-way');
});

test('a run that goes on from the journal beyond a stop does not say that it stands there', async () => {
  const legs = () => [
    { release: 'v6.0.0', steps: { frontend: ['m3'], codeintel: ['c3'] }, closed: true },
    { release: 'v5.5.0', steps: { frontend: ['m2'], codeintel: ['c2'] }, closed: false },
    { release: 'v5.0.0', steps: { frontend: ['m1'], codeintel: ['c1'] } },
  ];
  const within = new FakeInstance(legs(), { stops: [0], resumed: true });
  ['frontend 1', 'codeintel 1', 'frontend 2'].forEach((step) => within.done.add(step));
  const beyond = new FakeInstance(legs(), { stops: [0], resumed: true });
  Object.assign(beyond.legs[1] ?? {}, { closed: true });
  ['frontend 1', 'codeintel 1', 'frontend 2', 'codeintel 2'].forEach((step) => beyond.done.add(step));
  for (const instance of [within, beyond]) {
    const { report, status } = await harness.start(instance, { input: { via: ['v6.0.0'] } });
    let waitsFor: string | null = null;
    const ended = async () => {
      ({ waitingFor: waitsFor } = await status());
      return instance.ended !== null;
    };
    await until(ended, { describe: 'the run to end, without a stop that lies behind it', show: () => waitsFor });
    expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 6 });
  }
});

test('behind a pause between two releases the data that was moved is asked once more, where any was', async () => {
  for (const data of [undefined, { frontend: ['7'] }]) {
    const gate = new Gate();
    const instance = new FakeInstance([
      { release: 'v6.0.0', steps: { frontend: ['m3'] }, ...(data === undefined ? {} : { data }) },
      { release: 'v5.0.0', steps: { frontend: ['m2'] } },
    ]).next('verifyRelease 0', gate.twist);
    const { update, report, inState } = await harness.start(instance);
    await gate.reached;
    await update('pause');
    gate.open();
    await until(() => instance.calls.includes('yieldClaim frontend paused'), { describe: 'the claim given back' });
    await inState('paused');
    await update('resume');
    expect((await report).outcome).toBe('completed');
    expect(instance.count('verifyRelease 0')).toBe(data === undefined ? 1 : 2);
    const again = instance.calls.lastIndexOf('verifyRelease 0');
    expect(instance.calls.findIndex((call) => call.startsWith('applyMigration frontend 2'))).toBeGreaterThan(again);
  }
});

test('an abort at a stop ends the run there, at a release', async () => {
  const instance = twoDatabases();
  Object.assign(instance.summary, { stops: [0] });
  const { update, report, inState } = await harness.start(instance);
  await inState('atStop');
  await update('abort');
  expect(await report).toMatchObject({ outcome: 'aborted', standsAt: 'v6.0.0', stepsDone: 3 });
});
