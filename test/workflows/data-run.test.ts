import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { LegRef } from '../../src/contract/activities.js';
import { until } from '../support/until.js';
import { FakeInstance, fails, Gate, untilCancelled } from './fake-instance.js';
import { failureOf, type Harness, openHarness, refusalOf } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const letters = () => new FakeInstance([{ release: 'v6.0.0', steps: { frontend: [] }, data: { frontend: ['7'] } }]);
const start = (instance: FakeInstance, input: object = {}) =>
  harness.start(instance, { type: 'dataMigration', input: { ...input } });

test('one data migration is planned, claimed, moved and ended: no release is recorded, and nothing of the schema checked', async () => {
  const gate = new Gate();
  const instance = letters().next('runDataMigration', gate.twist);
  const { handle, report, status } = await start(instance, { by: 'ann' });
  await gate.reached;
  expect(await status()).toMatchObject({
    state: 'running',
    from: 'v6.0.0',
    to: 'v6.0.0',
    stepsDone: 0,
    stepsTotal: 1,
    data: [{ id: '7', act: 'reverse', running: true, activityId: 'frontend-data-7-reverse' }],
    dataMigration: { id: '7', direction: 'reverse', database: 'frontend', description: 'what 7 does' },
  });
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toMatch(/^\*\*running\*\* · \S+ data migration 7 reverse at v6\.0\.0: what 7 does/);
  expect(currentDetails).toMatch(/--workflow-id unwind\/[^/]+\/data\/7 --name abort/);
  gate.open();
  expect(await report).toMatchObject({
    outcome: 'completed',
    standsAt: 'v6.0.0',
    stepsDone: 1,
    dataMigration: { id: '7', rows: 30, batches: 3, progress: 0 },
  });
  expect(instance.calls).toEqual([
    'makeDataPlan 7 reverse',
    'claim frontend',
    'readLeg 0',
    'runDataMigration frontend 0 7',
    'done frontend data 0 7',
    'endRun completed',
    'yieldClaim frontend ended',
  ]);
  await saveHistory(handle, 'data-run');
});

test('a number is an id too; an input without one, or with a release, is refused before anything is asked', async () => {
  const instance = letters();
  expect((await (await start(instance, { id: 7 })).report).outcome).toBe('completed');
  const refused = await failureOf((await start(instance, { direction: 'sideways', to: 'v5' })).report);
  expect(refused.type).toBe('InvalidInput');
  expect(refused.message).toContain('"direction"');
  expect(refused.message).toContain('unknown field "to"');
  expect(instance.count('makeDataPlan')).toBe(1);
});

test('where every row is in the form already it says so', async () => {
  const none = { how: 'ran', batches: 0, rows: 0, progress: 0, tookMs: 1, attempt: 1 };
  const instance = letters().next('runDataMigration', () => none);
  expect(await (await start(instance)).report).toMatchObject({ outcome: 'alreadyThere', dataMigration: { rows: 0 } });
});

test.each(['DirtyDatabase', 'ClaimedByAnother', 'DataNotRunnable'] as const)(
  'a plan that cannot be made ends it with %s: nothing is parked that nobody has begun',
  async (type) => {
    const instance = letters().next('makeDataPlan', fails(type, 'because'));
    expect(await failureOf((await start(instance)).report)).toEqual({ type, message: 'because' });
    expect(instance.count('claim')).toBe(0);
  },
);

test('data that does not move parks it; there is nothing to approve and no stop to leave, and retryStep goes on', async () => {
  const instance = letters().next('runDataMigration', fails('DataStalled', 'nothing moves'));
  const { report, inState, update } = await start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([{ database: 'frontend', migration: '7' }]);
  expect(await refusalOf(update('approve', { plan: 'x' }))).toContain('Nothing waits for approval');
  expect(await refusalOf(update('continue'))).toContain('does not wait at a release');
  await update('retryStep', { by: 'ann' });
  expect(await report).toMatchObject({ outcome: 'completed', decisions: [{ kind: 'retryStep', by: 'ann' }] });
});

test('an abort while it plans ends it without a plan; one while it moves gives the claim back', async () => {
  const planning = letters().next('makeDataPlan', untilCancelled);
  const first = await start(planning);
  await until(() => planning.count('makeDataPlan') === 1, { describe: 'the planning' });
  await first.update('abort');
  expect(await first.report).toMatchObject({ outcome: 'aborted', plan: null });

  const moving = letters().next('runDataMigration', untilCancelled);
  const second = await start(moving);
  await until(async () => (await second.status()).data.some(({ running }) => running), { describe: 'moved data' });
  expect(await refusalOf(second.update('abort', { at: 'boundary' }))).toContain('reaches no other release');
  await second.update('abort');
  expect(await second.report).toMatchObject({
    outcome: 'aborted',
    legs: [{ data: { notReached: { frontend: ['7'] } } }],
  });
  expect(moving.calls).toEqual(expect.arrayContaining(['yieldClaim frontend ended', 'endRun aborted']));
});

test('back, a newer application that still runs is waited for; forward is what the product does beside its own', async () => {
  const waited = letters().next('readLeg', async (work) => ({
    ...((await work()) as LegRef), // as: the answer of readLeg
    writers: { policy: 'wait', found: [{ database: 'frontend', role: 'app', application: 'shop', sessions: 1 }] },
  }));
  expect((await (await start(waited)).report).outcome).toBe('completed');
  expect(waited.count('awaitWriters')).toBe(1);
});

test('one whose history grew long goes on in the next with its plan, its claim and its decisions', async () => {
  const instance = letters();
  instance.tokens.set('frontend', 'token-of-before');
  const name = 'goes-on';
  const plan = {
    plan: 'a'.repeat(64), run: 'the-run', resumed: false, product: 'acme', direction: 'down', from: 'v6.0.0', to: 'v6.0.0', toAliases: [],
    databases: ['frontend'],
    legs: [{ release: 'v6.0.0', steps: { frontend: 0 }, done: { frontend: 0 }, closed: false, data: { frontend: 1 }, dataDone: { frontend: 0 } }],
    data: { id: '7', direction: 'reverse', database: 'frontend', description: 'what 7 does' },
    destructiveSteps: 0, destructiveExamples: [], approved: false, warnings: [], searchAttributes: true,
    options: { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: 30, maximumAttempts: null },
  }; // prettier-ignore
  const carried = {
    run: 'the-run', plan, approved: false, takeOver: false, verified: 0, tokens: { frontend: 'token-of-before' }, parked: [], timelines: {},
    decisions: [{ kind: 'pause', by: 'ann', why: null, at: '2026-01-01T00:00:00.000Z' }], warnings: [], drift: {},
  }; // prettier-ignore
  const { report } = await harness.start(instance, {
    type: 'dataMigration',
    args: [{ instance: name, id: '7', direction: 'reverse' }, carried],
  });
  expect(await report).toMatchObject({
    outcome: 'completed',
    run: 'the-run',
    decisions: [{ kind: 'pause', by: 'ann' }],
    dataMigration: { rows: 30 },
  });
  expect(instance.count('makeDataPlan') + instance.count('claim')).toBe(0);
});
