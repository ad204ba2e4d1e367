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

const twoLegs = () =>
  new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m4', 'm3'] } },
    { release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } },
  ]);

test('an abort at the boundary lets the leg end, and the instance stands at its release', async () => {
  const gate = new Gate();
  const instance = twoLegs().next('applyMigration frontend 1', gate.twist);
  const { update, report, status } = await harness.start(instance);
  await gate.reached;
  await update('abort', { at: 'boundary', by: 'ann' });
  expect(await status()).toMatchObject({ state: 'running' });
  expect((await status()).waitingFor).toContain('next release boundary');
  expect(await refusalOf(update('abort', { at: 'boundary' }))).toContain('at the next release boundary already');
  expect(await refusalOf(update('abort', { at: 'someday' }))).toContain('"at"');
  gate.open();
  expect(await report).toMatchObject({
    outcome: 'aborted',
    standsAt: 'v6.0.0',
    stepsDone: 2,
    decisions: [{ kind: 'abort', by: 'ann' }],
  });
  expect(instance.ended).toBe('aborted');
});

test('an abort at the boundary may be made sooner; where no leg is under way it works at once', async () => {
  const gate = new Gate();
  const first = await harness.start(twoLegs().next('applyMigration frontend 1', gate.twist));
  await gate.reached;
  await first.update('abort', { at: 'boundary' });
  await first.update('abort');
  gate.open();
  expect(await first.report).toMatchObject({ outcome: 'aborted', standsAt: null, stepsDone: 1 });

  const second = await harness.start(new FakeInstance(twoLegs().legs, { destructiveSteps: 1 }));
  await second.inState('awaitingApproval');
  await second.update('abort', { at: 'boundary' });
  expect((await second.report).outcome).toBe('aborted');
});

test('an abort at the boundary of a run that was paused between two releases ends it there, and no further leg begins', async () => {
  const verifying = new Gate();
  const instance = twoLegs().next('verifyRelease 0', verifying.twist);
  const { inState, update, report } = await harness.start(instance);
  await verifying.reached;
  await update('pause');
  verifying.open();
  await until(() => instance.tokens.size === 0, { describe: 'the claims to be given back behind the boundary' });
  expect((await inState('paused')).leg).toBe(1);
  await update('abort', { at: 'boundary', by: 'ann' });
  expect(await report).toMatchObject({ outcome: 'aborted', standsAt: 'v6.0.0', stepsDone: 2 });
  expect(instance.count('applyMigration')).toBe(2);
});

test('an abort at the boundary of a run that goes on within a leg lets that leg end', async () => {
  const gate = new Gate();
  const instance = twoLegs().next('claim', gate.twist);
  instance.done.add('frontend 1');
  const { update, report } = await harness.start(instance);
  await gate.reached;
  await update('abort', { at: 'boundary' });
  gate.open();
  expect(await report).toMatchObject({ outcome: 'aborted', standsAt: 'v6.0.0', stepsDone: 2 });
});

test('turnBack lets the running script end, then the same id goes the other way, to where the run began', async () => {
  const gate = new Gate();
  const instance = twoLegs().next('applyMigration frontend 1', gate.twist);
  const { handle, update, status, report } = await harness.start(instance, { input: { by: 'eve' } });
  await gate.reached;
  const { run } = await status();
  const first = (await handle.describe()).runId;
  const answer = await update('turnBack', { by: 'ann', why: 'the older release is worse' });
  expect(answer.state).toBe('turningBack');
  expect(answer.waitingFor).toContain('v9.0.0');
  expect(await refusalOf(update('turnBack'))).toMatch(
    /being turned back to v9\.0\.0.*"turnBack" of ann at .* \(the older release is worse\)/,
  );
  gate.open();
  await until(() => instance.planned.at(-1)?.direction === 'up', { describe: 'the run in the other direction' });
  expect(instance.planned.at(-1)).toMatchObject({ direction: 'up', to: 'v9.0.0', turnsBack: run });
  expect(instance.decisions.map(({ kind, by }) => [kind, by])).toEqual([['turnBack', 'ann']]);
  expect(await report).toMatchObject({ direction: 'up' });
  await saveHistory(harness.client.workflow.getHandle(handle.workflowId, first), 'turned-back');
});

test('a turnBack of somebody who leaves the name empty goes back all the same', async () => {
  const instance = twoLegs().next('applyMigration frontend 1', fails('StepFailed'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  await update('turnBack', { by: '', why: '' });
  expect(await report).toMatchObject({ direction: 'up', outcome: 'completed' });
});

test('a turnBack keeps the memo that the run was started with, beside that of its own plan', async () => {
  const instance = twoLegs().next('applyMigration frontend 1', fails('StepFailed'));
  const { handle, inState, update, report } = await harness.start(instance, { memo: { ticket: 'OPS-1182' } });
  const { run } = await inState('needsOperator');
  await update('turnBack');
  const back = await report;
  expect(back.direction).toBe('up');
  expect(back.run).not.toBe(run);
  const { memo } = await harness.client.workflow.getHandle(handle.workflowId).describe();
  expect(memo).toMatchObject({ ticket: 'OPS-1182', UnwindPlan: { run: back.run } });
});

test('of operators who contradict each other at once, the order of the history counts, and each refusal names whose word came first', async () => {
  const gate = new Gate();
  const instance = twoLegs().next('applyMigration frontend 1', fails('StepFailed')).next('endRun', gate.twist);
  const { handle, inState, status, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const said = [
    ['abort', 'ann'],
    ['turnBack', 'bob'],
    ['retryStep', 'cat'],
    ['abort', 'dan'],
    ['pause', 'eve'],
    ['turnBack', 'fay'],
  ] as const;
  const answers = await Promise.all(
    said.map(([name, by]) => {
      const answer = update(name, { by });
      return answer.then(
        () => 'was accepted',
        () => refusalOf(answer),
      );
    }),
  );
  const accepted = said.filter((_, at) => answers[at] === 'was accepted').map(([kind, by]) => ({ kind, by }));
  const ending = accepted.filter(({ kind }) => kind === 'abort' || kind === 'turnBack');
  expect(ending).toHaveLength(1);
  const { events } = await handle.fetchHistory();
  const inHistory = (events ?? []).flatMap(({ workflowExecutionUpdateAcceptedEventAttributes: event }) =>
    event ? [event.acceptedRequest?.input?.name] : [],
  );
  const { decisions } = await status();
  expect(decisions.map(({ kind }) => kind)).toEqual(inHistory);
  expect(decisions.map(({ kind, by }) => ({ kind, by }))).toEqual(expect.arrayContaining(accepted));
  expect(decisions.at(-1)).toMatchObject(ending[0] ?? {});
  for (const refusal of answers.filter((answer) => answer !== 'was accepted')) {
    expect(refusal).toMatch(new RegExp(`"${ending[0]?.kind}" of ${ending[0]?.by} at `));
  }
  gate.open();
  await report;
});

test('a run that began between two releases, or has no plan yet, cannot be turned back', async () => {
  const gate = new Gate();
  const between = new FakeInstance(twoLegs().legs, { from: null }).next('applyMigration frontend 1', gate.twist);
  const { update, report } = await harness.start(between);
  await gate.reached;
  expect(await refusalOf(update('turnBack'))).toContain('began between two releases');
  gate.open();
  expect((await report).outcome).toBe('completed');
});

test('options change for the rest of the run: what comes next is told of them, and a data migration begins again with them', async () => {
  const gate = new Gate();
  const instance = new FakeInstance([
    { release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] }, data: { frontend: ['7'] } },
  ])
    .next('applyMigration frontend 1', gate.twist)
    .next('runDataMigration frontend 0 7', untilCancelled);
  const { update, status, report } = await harness.start(instance);
  await gate.reached;
  expect(await refusalOf(update('setOptions'))).toContain('was given no option');
  expect(await refusalOf(update('setOptions', { blockers: 'shoot' }))).toContain('"blockers"');
  expect(await refusalOf(update('setOptions', { data: { mostBatchRows: 0 } }))).toContain('"data.mostBatchRows"');
  await update('setOptions', { blockers: 'terminateIdle', by: 'ann' });
  gate.open();
  await until(async () => (await status()).data.some(({ running }) => running), { describe: 'data that is moved' });
  const { options } = await update('setOptions', { data: { mostBatchRows: 500 } });
  expect(options).toEqual({ blockers: 'terminateIdle', data: { mostBatchRows: 500 } });
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 3 });
  expect(instance.policies).toEqual([undefined, 'terminateIdle']);
  expect(instance.dataOptions).toEqual([undefined, { mostBatchRows: 500 }]);
  expect(instance.count('runDataMigration')).toBe(2);
});

test('more attempts than Temporal can count are refused: no task of the run would be taken any more', async () => {
  const instance = twoLegs().next('applyMigration frontend 1', fails('StepFailed'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  expect(await refusalOf(update('setOptions', { maximumAttempts: 3_000_000_000 }))).toContain('"maximumAttempts"');
  await update('setOptions', { maximumAttempts: 1_000_000 });
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
});

test('options that are changed while a database is parked hold for its retry', async () => {
  const instance = twoLegs().next('applyMigration frontend 1', fails('StepFailed'));
  const { inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  await update('setOptions', { blockers: 'terminate', maximumAttempts: 3 });
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
  expect(new Set(instance.policies)).toEqual(new Set(['terminate']));
});
