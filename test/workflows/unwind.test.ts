import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Worker } from '@temporalio/worker';
import type { CheckVerdict } from '../../src/contract/activities.js';
import { workflowBundle } from '../support/bundle.js';
import { dirty, FakeInstance, PLAN } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const twoLegs = () =>
  new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m9', 'm8', 'm7'], codeintel: ['c5'] } },
    { release: 'v5.0.0', steps: { frontend: ['m6'], codeintel: ['c4', 'c3'] } },
  ]);

describe('an instance is taken down', () => {
  test('all steps run in order, with one check before each and one at the end', async () => {
    const instance = twoLegs();
    const { report, handle } = await harness.start(instance);
    const result = await report;

    expect(result).toMatchObject({
      outcome: 'completed',
      plan: PLAN,
      from: 'v9.0.0',
      to: 'v5.0.0',
      standsAt: 'v5.0.0',
      stepsDone: 7,
      stepsTotal: 7,
      decisions: [],
    });
    expect(result.legs).toEqual([
      {
        release: 'v6.0.0',
        closed: true,
        done: { frontend: 3, codeintel: 1 },
        notReached: { frontend: [], codeintel: [] },
      },
      {
        release: 'v5.0.0',
        closed: true,
        done: { frontend: 1, codeintel: 2 },
        notReached: { frontend: [], codeintel: [] },
      },
    ]);
    expect(instance.calls.filter((call) => / frontend \d/.test(call))).toEqual([
      ...['checkDirty frontend 1', 'applyMigration frontend 1 m9', 'done frontend 1'],
      ...['checkDirty frontend 2', 'applyMigration frontend 2 m8', 'done frontend 2'],
      ...['checkDirty frontend 3', 'applyMigration frontend 3 m7', 'done frontend 3'],
      ...['checkDirty frontend 4', 'applyMigration frontend 4 m6', 'done frontend 4'],
      'checkDirty frontend 5',
    ]);
    expect(instance.count('checkDirty codeintel')).toBe(4);
    expect(instance.calls.slice(0, 3)).toEqual([
      expect.stringMatching('makePlan'),
      'claim frontend,codeintel',
      'readLeg 0',
    ]);
    expect(instance.calls.slice(-2)).toEqual(['endRun completed', 'yieldClaim frontend,codeintel ended']);
    await saveHistory(handle, 'happy');
  });

  test('no database begins a leg before all have ended the one before and its release is recorded and verified', async () => {
    const instance = twoLegs();
    await (
      await harness.start(instance)
    ).report;
    const at = (call: string) => instance.calls.indexOf(call);
    const secondLeg = Math.min(at('checkDirty frontend 4'), at('checkDirty codeintel 2'));

    expect(at('done frontend 3')).toBeLessThan(at('recordRelease 0'));
    expect(at('done codeintel 1')).toBeLessThan(at('recordRelease 0'));
    expect(at('recordRelease 0')).toBeLessThan(at('verifyRelease 0'));
    expect(at('verifyRelease 0')).toBeLessThan(at('readLeg 1'));
    expect(at('readLeg 1')).toBeLessThan(secondLeg);
    expect(at('verifyRelease 1 fingerprint')).toBeGreaterThan(at('recordRelease 1'));
  });

  test('every workflow task may be replayed from the start (no workflow is cached)', async () => {
    const instance = twoLegs();
    const { report } = await harness.start(instance, { worker: { maxCachedWorkflows: 0 } });
    expect((await report).outcome).toBe('completed');
    expect(instance.count('applyMigration')).toBe(7);
  });

  test('the same code takes an instance up', async () => {
    const instance = twoLegs();
    const { report } = await harness.start(instance, { type: 'upgrade' });
    expect(await report).toMatchObject({ outcome: 'completed', direction: 'up' });
  });

  test("the run's own policy about sessions in the way goes with every step", async () => {
    const own = twoLegs();
    await (
      await harness.start(own, { input: { blockers: 'terminateIdle' } })
    ).report;
    expect(own.policies).toEqual(Array.from({ length: 7 }, () => 'terminateIdle'));
    const other = twoLegs();
    await (
      await harness.start(other)
    ).report;
    expect(new Set(other.policies)).toEqual(new Set([undefined]));
    const wrong = await harness.start(twoLegs(), { input: { blockers: 'kill' } });
    await expect(wrong.report).rejects.toMatchObject({ cause: { type: 'InvalidInput' } });
  });

  test('a run that goes on skips closed legs and steps that are done', async () => {
    const instance = twoLegs();
    for (const step of ['frontend 1', 'frontend 2', 'frontend 3', 'codeintel 1', 'codeintel 2'])
      instance.done.add(step);
    (instance.legs[0] ?? { closed: false }).closed = true;
    const result = await (await harness.start(instance)).report;

    expect(result).toMatchObject({ outcome: 'completed', stepsDone: 7, standsAt: 'v5.0.0' });
    expect(instance.count('readLeg 0')).toBe(0);
    expect(instance.calls.filter((call) => call.startsWith('applyMigration')).toSorted()).toEqual([
      'applyMigration codeintel 3 c3',
      'applyMigration frontend 4 m6',
    ]);
    expect(instance.count('verifyRelease 0')).toBe(0);
  });

  test('a run that goes on exactly at a boundary verifies that release again', async () => {
    const instance = twoLegs();
    for (const step of ['frontend 1', 'frontend 2', 'frontend 3', 'codeintel 1']) instance.done.add(step);
    (instance.legs[0] ?? { closed: false }).closed = true;
    expect((await (await harness.start(instance)).report).outcome).toBe('completed');
    expect(instance.count('verifyRelease 0')).toBe(1);
    expect(instance.count('recordRelease 0')).toBe(0);
  });

  test('an instance that is there already is checked, and its run ends without a claim', async () => {
    const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: [], codeintel: [] }, closed: true }]);
    const result = await (await harness.start(instance)).report;
    expect(result).toMatchObject({ outcome: 'alreadyThere', stepsTotal: 0, standsAt: 'v5.0.0' });
    expect(instance.calls.slice(1, 3).toSorted()).toEqual(['checkDirty codeintel 1', 'checkDirty frontend 1']);
    expect(instance.calls.slice(3)).toEqual(['endRun completed']);
  });

  test('drift and warnings of checks reach the report', async () => {
    const instance = twoLegs();
    instance.next('verifyRelease 1', async (work) => ({
      ...((await work()) as object),
      drift: { frontend: ['table public.users: column age is missing'] },
    }));
    instance.next('checkDirty codeintel 2', async (work) => ({
      ...((await work()) as object),
      warnings: [{ code: 'otherSessions', database: 'codeintel', text: '3 other sessions are connected to codeintel' }],
    }));
    const result = await (await harness.start(instance)).report;
    expect(result.drift).toEqual({ frontend: ['table public.users: column age is missing'] });
    expect(result.warnings).toEqual([
      '3 other sessions are connected to codeintel',
      expect.stringContaining('frontend differs in 1 place from'),
    ]);
  });
});

describe('what a run costs and shows', () => {
  test('a step costs at most 12 events and 4 kB of history', async () => {
    const ids = (prefix: string, from: number, count: number) =>
      Array.from({ length: count }, (_, index) => `${prefix}${1_700_000_000 + from - index}`);
    const instance = new FakeInstance([
      { release: 'v6.0.0', steps: { frontend: ids('', 100, 25), codeintel: ids('', 400, 2) } },
      { release: 'v5.0.0', steps: { frontend: ids('', 60, 21), codeintel: ids('', 300, 2) } },
    ]);
    instance.riding = true;
    const { handle, report } = await harness.start(instance);
    await report;
    const { historyLength, historySize } = await handle.describe();
    const [events, bytes] = [historyLength / 50, (historySize ?? Infinity) / 50];
    console.info(`history of 50 steps: ${events.toFixed(1)} events and ${bytes.toFixed(0)} bytes per step, all in`);
    expect(events).toBeLessThanOrEqual(12);
    expect(bytes).toBeLessThanOrEqual(4096);
  });

  test('status, details and search attributes say where the run is', async () => {
    const instance = twoLegs();
    instance.next('verifyRelease 0', async () => Promise.reject(new Error('held')));
    const { handle, inState, report } = await harness.start(instance);
    const status = await inState('verifying');
    expect(status).toMatchObject({
      direction: 'down',
      plan: PLAN,
      leg: 1,
      legs: 2,
      release: 'v6.0.0',
      stepsDone: 4,
      stepsTotal: 7,
      waitingFor: null,
      parked: [],
      decisions: [],
      warnings: [],
      drift: {},
    });
    expect(status.databases['frontend']).toMatchObject({
      done: 3,
      total: 4,
      boundaries: [3, 4],
      lastCheck: { clean: true, how: 'quiet' },
    });
    expect(status.run).toMatch(/^[0-9a-f-]{36}$/);
    const metadata = await handle.query<{ currentDetails?: string; definition?: unknown }>(
      '__temporal_workflow_metadata',
    );
    expect(metadata.currentDetails).toContain('**verifying**');
    expect(metadata.currentDetails).toContain('| frontend | 3 of 4 |');
    expect(metadata.currentDetails).toContain(
      `temporal workflow update execute \\\n  --workflow-id ${handle.workflowId} --name abort`,
    );
    await report;
    const { typedSearchAttributes } = await handle.describe();
    expect(Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]))).toMatchObject(
      {
        UnwindState: 'completed',
        UnwindProduct: 'acme',
        UnwindTarget: 'v5.0.0',
        UnwindStepsDone: 7,
        UnwindStepsTotal: 7,
      },
    );
  });

  test('the check that rode behind a commit is the next one: one activity per step, N+1 checks all the same', async () => {
    const instance = twoLegs();
    instance.riding = true;
    expect((await (await harness.start(instance)).report).outcome).toBe('completed');
    expect(instance.count('applyMigration')).toBe(7);
    // Before the first step of each database; the final one rides too.
    expect(instance.calls.filter((call) => call.startsWith('checkDirty')).toSorted()).toEqual([
      'checkDirty codeintel 1',
      'checkDirty frontend 1',
    ]);
  });

  test('a riding check that finds dirt parks, and after retryStep the database is asked again', async () => {
    const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } }]);
    instance.riding = true;
    instance.ridingVerdict = dirty('frontend')(() => Promise.resolve()) as Partial<CheckVerdict>;
    const { inState, update, report } = await harness.start(instance);
    const parked = await inState('needsOperator');
    expect(parked.parked).toMatchObject([{ during: 'check', seq: 2, reasons: [{ code: 'changedByOthers' }] }]);
    expect(instance.count('applyMigration')).toBe(1);
    instance.ridingVerdict = {};
    await update('retryStep', {});
    expect((await report).outcome).toBe('completed');
    expect(instance.count('checkDirty frontend 2')).toBe(1);
  });

  test('a riding check from an old primary is not believed', async () => {
    const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } }]);
    instance.riding = true;
    instance.timeline = 2;
    instance.ridingVerdict = { timeline: 1 };
    expect((await (await harness.start(instance)).report).outcome).toBe('completed');
    expect(instance.count('checkDirty frontend 2'), 'asked with the timeline that was seen').toBe(1);
  });

  test('three databases at once replay: nothing depends on the order in which answers came', async () => {
    const ids = (name: string) => Array.from({ length: 12 }, (_, at) => `${name}${at}`);
    const instance = new FakeInstance([
      { release: 'v6.0.0', steps: { frontend: ids('f'), codeintel: ids('c'), insights: ids('i') } },
      { release: 'v5.0.0', steps: { frontend: ids('g'), codeintel: ids('d'), insights: ids('j') } },
    ]);
    instance.riding = true;
    const { handle, report } = await harness.start(instance);
    expect((await report).outcome).toBe('completed');
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, await handle.fetchHistory());
    await saveHistory(handle, 'three-databases');
  });
});
