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

const threeSteps = () => new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m3', 'm2', 'm1'] } }]);
const twoDatabases = () =>
  new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m3', 'm2'], codeintel: ['c2', 'c1'] } }]);

test('an accepted reason goes to the database as it was shown, under a new claim; then the check comes again', async () => {
  const instance = threeSteps().next('checkDirty frontend 2', dirty('frontend'));
  const { handle, inState, update, report } = await harness.start(instance);
  const parked = await inState('needsOperator');
  const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain(
    `--name acceptDirty --input '{"code":"changedByOthers","why":"<why it may stay>"}'`,
  );

  const after = await update('acceptDirty', { code: 'changedByOthers', by: 'ann', why: 'the audit trigger stays' });
  expect(after).toMatchObject({ parked: [], decisions: [{ kind: 'acceptDirty', by: 'ann' }] });
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 3, decisions: [{ kind: 'acceptDirty' }] });
  expect(instance.overrulings).toEqual([
    expect.objectContaining({
      database: 'frontend',
      token: 'token-2-frontend',
      by: 'ann',
      why: 'the audit trigger stays',
      reason: parked.parked[0]?.reasons[0],
    }),
  ]);
  const accepted = instance.calls.indexOf('acceptDirty frontend changedByOthers');
  const again = instance.calls.indexOf('checkDirty frontend 2', accepted);
  expect(again).toBeGreaterThan(accepted);
  expect(instance.calls.indexOf('applyMigration frontend 2 m2')).toBeGreaterThan(again);
  await saveHistory(handle, 'accepted');
});

test('what has changed since it was shown is refused, is shown as it is now, and the claim is given back', async () => {
  const now = { code: 'changedByOthers', database: 'frontend', evidence: 'two columns now', remedy: 'drop both' };
  const instance = threeSteps()
    .next('checkDirty frontend 2', dirty('frontend'))
    .next('acceptDirty', () => {
      throw failure('DirtyDatabase', 'It has changed since it was shown: two columns now.', { reasons: [now] });
    });
  const { inState, status, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const send = () => update('acceptDirty', { code: 'changedByOthers', why: 'it stays' });
  expect(await refusalOf(send())).toContain('It has changed since it was shown');
  expect(await status()).toMatchObject({ state: 'needsOperator', decisions: [], parked: [{ reasons: [now] }] });
  expect(instance.tokens.has('frontend')).toBe(false);
  await send();
  expect((await report).outcome).toBe('completed');
  expect(instance.overrulings).toEqual([expect.objectContaining({ reason: now })]);
});

test('acceptDirty says what it takes, without an argument too, and why some codes cannot be accepted', async () => {
  const lockHeld = { code: 'lockHeld', database: 'frontend', evidence: 'process 7', remedy: 'stop it' };
  const [reason] = ((await dirty('frontend')(async () => undefined)) as { reasons: object[] }).reasons;
  const verdict = { clean: false, reasons: [reason, lockHeld], warnings: [], how: 'counted', tookMs: 1, timeline: 1 };
  const gate = new Gate();
  const instance = threeSteps()
    .next('applyMigration frontend 1', gate.twist)
    .next('checkDirty frontend 2', () => verdict);
  const { inState, update, report } = await harness.start(instance);
  await gate.reached;
  expect(await refusalOf(update('acceptDirty'))).toContain('Nothing is parked at a dirty check');
  gate.open();
  await inState('needsOperator');
  const nothing = await refusalOf(update('acceptDirty'));
  expect(nothing).toContain('{"code":"changedByOthers","why":"<why it may stay>"}');
  expect(nothing).toContain('frontend: lockHeld (process 7)');
  expect(await refusalOf(update('acceptDirty', { code: 'changedByOthers' }))).toContain('"why"');
  expect(await refusalOf(update('acceptDirty', { code: 'changedByOthers', why: ' ' }))).toContain(
    'a reason of your own',
  );
  expect(await refusalOf(update('acceptDirty', { code: 'lockHeld', why: 'x' }))).toContain(
    '"lockHeld" cannot be accepted: another migrator may be at work',
  );
  expect(await refusalOf(update('acceptDirty', { code: 'invalidIndex', why: 'x' }))).toContain(
    '"invalidIndex" was not found',
  );
  expect(instance.count('acceptDirty')).toBe(0);
  await update('retryStep');
  await report;
});

test('where several databases are parked, the one is named', async () => {
  const instance = twoDatabases()
    .next('checkDirty frontend 2', dirty('frontend'))
    .next('checkDirty codeintel 2', dirty('codeintel'));
  const { status, update, report } = await harness.start(instance);
  await until(async () => (await status()).parked.length === 2, { describe: 'both databases to be parked' });
  expect(await refusalOf(update('acceptDirty', { code: 'changedByOthers', why: 'it stays' }))).toContain(
    'Several databases are parked at it',
  );
  await update('acceptDirty', { code: 'changedByOthers', database: 'codeintel', why: 'it stays' });
  await update('acceptDirty', { code: 'changedByOthers', why: 'it stays' });
  expect((await report).outcome).toBe('completed');
  expect(instance.overrulings.map(({ database }) => database)).toEqual(['codeintel', 'frontend']);
});

test('of two operators at once the second is told to look again', async () => {
  const gate = new Gate();
  const instance = threeSteps().next('checkDirty frontend 2', dirty('frontend')).next('acceptDirty', gate.twist);
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const first = update('acceptDirty', { code: 'changedByOthers', by: 'ann', why: 'it stays' });
  await gate.reached;
  for (const [name, input] of [
    ['acceptDirty', { code: 'changedByOthers', by: 'bob', why: 'it stays' }],
    ['skipStep', { ledger: 'keep', by: 'bob', why: 'done by hand' }],
    ['retryStep', { by: 'bob' }],
  ] as const) {
    expect(await refusalOf(update(name, input))).toContain('of another operator is being carried out there');
  }
  gate.open();
  await first;
  expect((await report).decisions).toEqual([expect.objectContaining({ kind: 'acceptDirty', by: 'ann' })]);
});

test('an abort that comes while it is carried out ends the run, and whoever sent it is told', async () => {
  const gate = new Gate();
  const instance = threeSteps().next('checkDirty frontend 2', dirty('frontend')).next('acceptDirty', gate.twist);
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const accepting = update('acceptDirty', { code: 'changedByOthers', by: 'ann', why: 'it stays' });
  await gate.reached;
  await update('abort', { by: 'bob' });
  await until(() => !instance.tokens.has('frontend'), { describe: 'the claim to be given back' });
  gate.open();
  expect(await refusalOf(accepting)).toContain('The run is being aborted');
  const ended = await report;
  expect(ended).toMatchObject({ outcome: 'aborted', stepsDone: 1 });
  expect(ended.decisions).toContainEqual(expect.objectContaining({ kind: 'abort', by: 'bob' }));
  expect(instance.count('applyMigration frontend 2')).toBe(0);
});

test('a step that was taken over counts as done, is named in the report, and is not run', async () => {
  const instance = threeSteps().next('applyMigration frontend 2', fails('StepFailed', '42P01 at public.jobs'));
  const { handle, inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain('`skipStep` where you have carried the step out by hand');

  expect(await refusalOf(update('skipStep'))).toContain('{"ledger":"record","why":"');
  expect(await refusalOf(update('skipStep', { why: 'x' }))).toContain('"ledger"');
  expect(await refusalOf(update('skipStep', { ledger: 'keep' }))).toContain('"why"');
  await update('skipStep', { ledger: 'record', by: 'ann', why: 'dropped it by hand' });
  const ended = await report;
  expect(ended).toMatchObject({ outcome: 'completed', stepsDone: 3, decisions: [{ kind: 'skipStep', by: 'ann' }] });
  expect(ended.warnings).toContain('frontend m2 (step 2) was not run here but taken over by ann: dropped it by hand');
  expect(instance.overrulings).toEqual([
    expect.objectContaining({ seq: 2, leg: 0, migration: 'm2', direction: 'down', ledger: 'record' }),
  ]);
  await saveHistory(handle, 'skipped');
});

test('a step can be taken over only where it is the step that does not go on', async () => {
  const instance = threeSteps().next('recordRelease 0', fails('JournalBehind'), fails('JournalBehind'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  expect(await refusalOf(update('skipStep', { ledger: 'keep', why: 'x' }))).toContain(
    'No database is parked at a schema step that could be taken over',
  );
  await update('abort');
  expect((await report).outcome).toBe('aborted');
});
