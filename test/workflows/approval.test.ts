import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { LossSummary } from '../../src/contract/losses.js';
import { FakeInstance, fails, OTHER_PLAN, PLAN } from './fake-instance.js';
import { type Harness, openHarness, refusalOf } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const destructive = (summary = {}) =>
  new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } }], {
    destructiveSteps: 1,
    destructiveExamples: ['frontend m2 drop_jobs: table jobs'],
    ...summary,
  });

test('a plan that destroys waits for consent to this very plan', async () => {
  const instance = destructive();
  const { handle, inState, update, report } = await harness.start(instance);
  const waiting = await inState('awaitingApproval');
  expect(waiting.waitingFor).toContain(`{"plan":"${PLAN}"}`);
  expect(waiting.waitingFor).toContain('1 of 2 steps lose content');
  const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain('frontend m2 drop_jobs: table jobs');
  expect(metadata.currentDetails).toContain(
    `temporal workflow update execute \\\n  --workflow-id ${handle.workflowId} --name approve --input '{"plan":"${PLAN}"}'`,
  );

  expect(await refusalOf(update('approve', { plan: OTHER_PLAN }))).toContain(PLAN);
  expect(await refusalOf(update('approve'))).toContain(`"approve" takes {"plan":"${PLAN}"}`);
  expect(await refusalOf(update('approve', null))).toContain(`"approve" takes {"plan":"${PLAN}"}`);
  expect(await refusalOf(update('approve', PLAN))).toContain(`"approve" takes {"plan":"${PLAN}"}`);
  expect(await refusalOf(update('approve', { plan: PLAN, bye: 'x' }))).toContain('bye');
  expect(await refusalOf(update('retryStep'))).toContain('"awaitingApproval"');
  expect(instance.calls).toHaveLength(1);

  expect(await update('approve', { plan: PLAN, by: 'ann' })).toMatchObject({
    state: 'running',
    waitingFor: null,
    decisions: [{ kind: 'approve', by: 'ann' }],
  });
  expect(await report).toMatchObject({ outcome: 'completed', decisions: [{ kind: 'approve', by: 'ann' }] });
  expect(instance.decisions).toMatchObject([{ kind: 'approve', plan: PLAN, details: { givenBy: 'update' } }]);
  expect(instance.calls.indexOf('recordDecision approve')).toBeLessThan(instance.calls.indexOf('claim frontend'));
});

const LOSSES: LossSummary = {
  takenAt: '2026-01-02T03:04:05.000Z',
  totals: { tables: 1, columns: 0, rows: { value: 12_345, exact: true }, bytes: { value: 2048, exact: true } },
  largest: ['frontend table public.jobs: 12,345 rows, 2.0 kB (m2 drop_jobs)'],
  losses: 3,
  returnsEmpty: 0,
  unknown: 1,
  remarks: [],
};

test('what consent is asked for is shown with its figures; if it has grown by the time of the consent, that is asked for again', async () => {
  const grown = { ...LOSSES, totals: { ...LOSSES.totals, rows: { value: 99_999, exact: true } } };
  const instance = destructive({ losses: LOSSES }).next('recordDecision', () => {
    throw ApplicationFailure.nonRetryable('public.jobs has grown', 'LossesGrown', { losses: grown });
  });
  const { handle, inState, status, update, report } = await harness.start(instance);
  expect((await inState('awaitingApproval')).losses).toEqual(LOSSES);
  const details = async () =>
    (await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;
  expect(await details()).toContain(LOSSES.largest[0]);
  expect(await details()).toContain('1 table with 12,345 rows');
  expect(await details()).toContain('… and 2 more');
  expect(await refusalOf(update('approve', { plan: PLAN }))).toContain('public.jobs has grown');
  expect(await status()).toMatchObject({ state: 'awaitingApproval', decisions: [], losses: grown });
  expect(await details()).toContain('99,999 rows');
  expect((await update('approve', { plan: PLAN })).losses).toBeUndefined();
  expect((await report).outcome).toBe('completed');
});

test('consent in the input runs at once and is recorded as a decision', async () => {
  const instance = destructive();
  const { report } = await harness.start(instance, { input: { acceptDataLoss: PLAN, by: 'ann' } });
  expect(await report).toMatchObject({ outcome: 'completed', decisions: [{ kind: 'approve', by: 'ann' }] });
  expect(instance.decisions).toMatchObject([{ kind: 'approve', plan: PLAN, by: 'ann', details: { givenBy: 'input' } }]);
});

test('consent in the input to another plan does not count, and the run says so', async () => {
  const { inState, update, report } = await harness.start(destructive(), { input: { acceptDataLoss: OTHER_PLAN } });
  expect((await inState('awaitingApproval')).waitingFor).toContain(OTHER_PLAN);
  await update('abort');
  expect((await report).outcome).toBe('aborted');
});

test('consent that the journal holds already is not asked for again', async () => {
  const instance = destructive({ approved: true });
  expect((await (await harness.start(instance)).report).outcome).toBe('completed');
  expect(instance.decisions).toEqual([]);
});

test('a run that waits for nothing refuses an approval', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2'] } }]).next(
    'applyMigration',
    () => Promise.reject(new Error('not now')), // tried again by itself after a second
  );
  const { inState, update, report } = await harness.start(instance);
  await inState('running');
  expect(await refusalOf(update('approve', { plan: PLAN }))).toContain('Nothing waits for approval');
  await report;
});

test('consent that cannot be recorded does not count', async () => {
  const instance = destructive().next('recordDecision', fails('JournalIncomplete', 'the server is a standby'));
  const { inState, status, update, report } = await harness.start(instance);
  await inState('awaitingApproval');
  expect(await refusalOf(update('approve', { plan: PLAN }))).toContain('does not count: the server is a standby');
  expect(await status()).toMatchObject({ state: 'awaitingApproval', decisions: [] });
  await update('approve', { plan: PLAN });
  expect((await report).outcome).toBe('completed');
});
