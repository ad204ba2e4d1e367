import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DevServer, startDevServer } from '../../src/temporal/dev-server.js';
import { until } from '../support/until.js';
import { FakeInstance, fails, PLAN } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';

// A server of its own: it suggests a new run after 60 events instead of 4,096.
let server: DevServer;
let harness: Harness;
beforeAll(async () => {
  server = await startDevServer({
    headless: true,
    anyPort: true,
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': 60 },
  });
  harness = await openHarness(server);
});
afterAll(async () => {
  await harness.close();
  await server.stop();
});

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${count - index}`);

async function runsOf(workflowId: string): Promise<number> {
  const runs = harness.client.workflow.list({ query: `WorkflowId = '${workflowId}'` });
  const seen = [];
  for await (const run of runs) seen.push(run);
  return seen.length;
}

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
  expect(await until(() => runsOf(handle.workflowId), { describe: 'the runs to be listed' })).toBeGreaterThan(2);
  expect(instance.count('applyMigration')).toBe(34);
  expect(instance.count('makePlan')).toBe(1);
  expect(instance.count('claim')).toBe(1);
  expect(instance.count('recordRelease')).toBe(3);
  expect(instance.count('verifyRelease')).toBe(3);
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
  expect((await handle.describe()).runId).not.toBe(
    (handle as unknown as { firstExecutionRunId: string }).firstExecutionRunId,
  );
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
