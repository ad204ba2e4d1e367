import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DevServer, startDevServer } from '../../src/temporal/dev-server.js';
import type { HandlerCall } from '../../src/contract/handler.js';
import { newQueue, startHandlers } from '../support/handler-worker.js';
import { until } from '../support/until.js';
import { dirty, FakeInstance, fails, Gate, PLAN } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
import { firstRunOf, type History, partsOf } from './parts.js';
import { saveHistory } from './saved-history.js';

/** A server of its own: it suggests a new run after so many events, instead of 4,096. */
const SUGGESTED_AT = 60;

let server: DevServer;
let harness: Harness;
beforeAll(async () => {
  server = await startDevServer({
    headless: true,
    anyPort: true,
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': SUGGESTED_AT },
  });
  harness = await openHarness(server);
});
afterAll(async () => {
  await harness.close();
  await server.stop();
});

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${count - index}`);

test('a long run goes on in a new history with its position, its claims and its decisions', async () => {
  const instance = new FakeInstance(
    [
      { release: 'v7.0.0', steps: { frontend: ids('x', 9), codeintel: ids('y', 4) } },
      { release: 'v6.0.0', steps: { frontend: ids('m', 12), codeintel: ids('c', 3) } },
      { release: 'v5.0.0', steps: { frontend: ids('n', 4), codeintel: ids('d', 2) } },
    ],
    { destructiveSteps: 2 },
  );
  const { handle, inState, update, report } = await harness.start(instance, { worker: { maxCachedWorkflows: 0 } });
  await inState('awaitingApproval');
  const { run } = await update('approve', { plan: PLAN, by: 'ann' });
  const result = await report;

  expect(result).toMatchObject({
    outcome: 'completed',
    run,
    standsAt: 'v5.0.0',
    stepsDone: 34,
    stepsTotal: 34,
    decisions: [{ kind: 'approve', by: 'ann' }],
  });
  expect((await partsOf(handle, firstRunOf(handle))).length).toBeGreaterThan(2);
  expect(instance.count('applyMigration')).toBe(34);
  expect(instance.count('makePlan')).toBe(1);
  expect(instance.count('claim')).toBe(1);
  expect(instance.count('recordRelease')).toBe(3);
  expect(instance.count('verifyRelease')).toBe(3);
  // Written once, by the first part.
  const { memo } = await harness.client.workflow.getHandle(handle.workflowId).describe();
  expect(memo).toMatchObject({ UnwindPlan: { id: PLAN, run } });
});

test('a stop is told once, and the number of the next event goes on in the new history', async () => {
  const instance = new FakeInstance(
    [
      { release: 'v6.0.0', steps: { frontend: ['m2'] } },
      { release: 'v5.0.0', steps: { frontend: ['m1'] } },
    ],
    { stops: [0], hooks: { notify: 'webhook' } },
  );
  const { handle, inState, update, report } = await harness.start(instance);
  await inState('atStop');
  const first = firstRunOf(handle);
  const current = harness.client.workflow.getHandle(handle.workflowId);
  for (;;) {
    await update('pause');
    await update('resume');
    if ((await current.describe()).runId !== first) break;
  }
  await inState('atStop');
  await update('continue');
  expect((await report).outcome).toBe('completed');
  expect(instance.notices.map(({ number, event }) => [number, event])).toEqual([
    [1, 'atStop'],
    [2, 'completed'],
  ]);
});

test('a hook that has answered is not called again in the new history, and a stop that waits goes on waiting', async () => {
  const instance = new FakeInstance(
    [
      { release: 'v6.0.0', steps: { frontend: ['m2'] } },
      { release: 'v5.0.0', steps: { frontend: ['m1'] } },
    ],
    { stops: [0], hooks: { before: 'command', atStop: 'webhook' } },
  ).next('callHook atStop', () => ({ answer: 'later', how: 'called' }));
  const { handle, inState, update, report, status } = await harness.start(instance);
  await inState('atStop');
  await until(async () => (await status()).hook?.state === 'waiting', { describe: 'an answer', show: status });
  const first = firstRunOf(handle);
  const current = harness.client.workflow.getHandle(handle.workflowId);
  for (;;) {
    await update('pause');
    await update('resume');
    if ((await current.describe()).runId !== first) break;
  }
  await until(async () => (await status()).hook?.state === 'waiting', {
    describe: 'the stop in the new history',
    show: status,
  });
  await update('continue');
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 2 });
  expect(instance.count('callHook')).toBe(2);
  expect((await partsOf(handle, first)).length).toBeGreaterThan(1);
});

test('a database that is parked stays parked in the new history', async () => {
  const instance = new FakeInstance([
    { release: 'v5.0.0', steps: { frontend: ids('m', 25), codeintel: ids('c', 3) } },
  ]).next('applyMigration codeintel 2', fails('StepFailed', '42P01 at public.jobs'));
  const { handle, status, update, report } = await harness.start(instance);
  await until(() => instance.done.has('frontend 25'), {
    describe: 'the other database to reach the boundary',
    within: 30_000,
  });
  expect((await handle.describe()).runId).not.toBe(firstRunOf(handle));
  expect(await status()).toMatchObject({
    state: 'needsOperator',
    parked: [{ database: 'codeintel', seq: 2, failure: 'StepFailed' }],
  });
  expect(instance.tokens.has('codeintel')).toBe(false);
  expect(instance.count('applyMigration codeintel 2')).toBe(1);
  const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain('codeintel is parked');
  await update('retryStep');
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 28, decisions: [{ kind: 'retryStep' }] });
});

test('a pause holds in a new history for a database that is parked there, also when its step is retried', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'], codeintel: ['c1'] } }]).next(
    'applyMigration codeintel 1',
    fails('StepFailed'),
  );
  const { handle, inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const current = harness.client.workflow.getHandle(handle.workflowId);
  while ((await current.describe()).runId === firstRunOf(handle)) {
    await update('pause');
    await update('resume');
  }
  await inState('needsOperator');
  await update('pause', { by: 'ann' });
  const checks = instance.count('checkDirty codeintel');
  await update('retryStep', { by: 'bob' });
  const atRest = async () => {
    const { raw } = await current.describe();
    return !raw.pendingWorkflowTask && (raw.pendingActivities ?? []).length === 0;
  };
  await until(atRest, { describe: 'whatever the retry has begun to end' });
  expect(instance.count('checkDirty codeintel')).toBe(checks);
  expect(instance.count('applyMigration codeintel 1')).toBe(1);
  await update('resume');
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 2 });
});

test('where a restore has to go is still told when all legs lie in an earlier history', async () => {
  const point = { at: '2026-01-02T03:04:05.678Z', lsn: '0/15D6B80', timeline: 1, name: null };
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ids('m', 2) } }])
    .next('readLeg 0', async (read) => ({ ...((await read()) as object), restorePoints: { frontend: point } }))
    .next('checkDirty frontend 3', dirty('frontend'));
  const { handle, inState, status, update, report } = await harness.start(instance);
  await inState('needsOperator');
  expect((await status()).restorePoints).toEqual({ frontend: point });
  const first = firstRunOf(handle);
  const current = harness.client.workflow.getHandle(handle.workflowId);
  while ((await current.describe()).runId === first) {
    await update('pause');
    await update('resume');
  }
  expect(await inState('needsOperator')).toMatchObject({ restorePoints: { frontend: point } });
  await update('retryStep');
  expect(await report).toMatchObject({ outcome: 'completed', restorePoints: { frontend: point } });
});

test('a decision that is still being written when the history is long enough goes along', async () => {
  const writing = new Gate();
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ids('m', 60), codeintel: ids('c', 3) } }])
    .next('applyMigration codeintel 2', fails('StepFailed'))
    .next('recordDecision retryStep', writing.twist);
  const { handle, inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  const answer = update('retryStep', { by: 'ann' });
  await writing.reached;
  const { runId } = await handle.describe();
  const atRest = async () => {
    const { historyLength, raw } = await handle.describe();
    return historyLength > SUGGESTED_AT && raw.pendingActivities?.length === 1;
  };
  await until(atRest, { describe: 'nothing but the decision to be under way' }).finally(() => writing.open());
  expect((await answer).decisions).toMatchObject([{ kind: 'retryStep', by: 'ann' }]);
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 63, decisions: [{ by: 'ann' }] });
  expect(instance.decisions).toHaveLength(1);
  const parts = await partsOf(handle, firstRunOf(handle));
  const accepted = parts.filter(({ events }) =>
    events?.some((it) => it.workflowExecutionUpdateCompletedEventAttributes),
  );
  expect(accepted, 'the history waited for it').toEqual([
    await handle.client.getHandle(handle.workflowId, runId).fetchHistory(),
  ]);
});

test('an abort that comes when the history is long enough ends the run, in that history or in the next', async () => {
  const last = new Gate();
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ids('m', 40) } }]);
  let length = () => Promise.resolve(0);
  let held = false;
  for (let seq = 1; seq <= 40; seq += 1) {
    instance.next(`applyMigration frontend ${seq} `, async (work) => {
      if (held || (await length()) < SUGGESTED_AT - 12) return work(); // a step costs six events
      held = true;
      return last.twist(work);
    });
  }
  const { handle, update, report } = await harness.start(instance);
  length = async () => (await handle.describe()).historyLength;
  await until(() => held, { describe: 'a step near the suggestion to be held', within: 30_000 });
  const answer = update('abort', { by: 'ann' });
  last.open(); // at the same time: whichever comes first
  expect((await answer).decisions).toMatchObject([{ kind: 'abort' }]);
  const result = await report;
  expect(result).toMatchObject({ outcome: 'aborted', decisions: [{ kind: 'abort', by: 'ann' }] });
  expect(result.stepsDone).toBe(instance.done.size);
  expect(instance.ended).toBe('aborted');
});

test('an abort is not forgotten where the run only waits for a notice before it goes on in a new history', async () => {
  const telling = new Gate();
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ids('m', 60) } }], {
    hooks: { notify: 'webhook' },
  })
    .next('applyMigration frontend 1 ', fails('StepFailed'))
    .next('notify 1 parked', telling.twist);
  const { handle, inState, update, report } = await harness.start(instance);
  await inState('needsOperator');
  await update('retryStep');
  const waitsForIt = async () =>
    (await handle.fetchHistory()).events?.some(({ timerStartedEventAttributes: timer }) => timer) === true;
  await until(waitsForIt, { describe: 'nothing but the notice to be waited for', within: 30_000 });
  expect((await update('abort', { by: 'ann' })).decisions).toMatchObject([{ kind: 'retryStep' }, { kind: 'abort' }]);
  telling.open();
  const result = await report;
  expect(result).toMatchObject({
    outcome: 'aborted',
    decisions: [{ kind: 'retryStep' }, { kind: 'abort', by: 'ann' }],
  });
  expect(result.stepsDone).toBeLessThan(60);
  expect(instance.ended).toBe('aborted');
});

test('an approval just before the history is long enough is not asked for again in the next', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ids('m', 9), codeintel: ids('c', 4) } }], {
    destructiveSteps: 1,
  });
  const { handle, inState, update, report } = await harness.start(instance);
  await inState('awaitingApproval');
  await update('approve', { plan: PLAN, by: 'ann' });
  expect(await report).toMatchObject({ outcome: 'completed', decisions: [{ kind: 'approve', by: 'ann' }] });
  expect(instance.decisions).toHaveLength(1);
  const { workflowId, client } = handle;
  const parts = await partsOf(handle, firstRunOf(handle));
  expect(parts.length).toBeGreaterThan(1);
  for (const [at, { events }] of [parts[0] as History, parts.at(-1) as History].entries()) {
    const runId = events?.[0]?.workflowExecutionStartedEventAttributes?.originalExecutionRunId;
    expect(runId).toBeTruthy();
    await saveHistory(client.getHandle(workflowId, runId ?? ''), `continued-as-new-${at + 1}`);
  }
});

test('calls of a handler go on in a new history where the journal is, and what has not moved is not forgotten', async () => {
  const queue = newQueue();
  const handler = { kind: 'activity', taskQueue: queue, type: 'walk', exactlyOnce: false } as const;
  const instance = new FakeInstance([
    { release: 'v5.0.0', steps: { frontend: ['m1'] }, data: { frontend: ['7'] }, handlers: { '7': handler } },
  ]);
  instance.stallCalls = 12; // in one history there is no room for so many
  const walked: number[] = [];
  const walk = ({ cursor }: HandlerCall) => {
    const at = Math.min(20, Number(cursor ?? 0) + 1);
    if (Number(cursor ?? 0) < 20) walked.push(at);
    return { cursor: String(at), rowsDone: 1, progress: 1 - at / 40, done: false };
  };
  await startHandlers(queue, { walk }, { server });
  const { handle, inState, update, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([{ failure: 'DataStalled', migration: '7' }]);
  expect(walked).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
  expect(instance.positions.get('7')).toMatchObject({ cursor: '20', batches: 32 });
  expect(instance.count('claim')).toBe(1);
  await update('abort');
  expect((await report).outcome).toBe('aborted');
  expect((await partsOf(handle, firstRunOf(handle))).length).toBeGreaterThan(3);
});
