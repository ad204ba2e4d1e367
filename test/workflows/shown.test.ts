import { defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { until } from '../support/until.js';
import { dirty, FakeInstance, fails, Gate, PLAN } from './fake-instance.js';
import { type Harness, openHarness, type Started } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const twoSteps = (summary = {}) =>
  new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } }], summary);

test('every activity of a history says in words what it is for', async () => {
  const instance = new FakeInstance(
    [
      { release: 'v6.0.0', steps: { frontend: ['m3'], codeintel: ['c1'] } },
      { release: 'v5.0.0', steps: { frontend: ['m2'] }, data: { frontend: ['7'] } },
    ],
    { stops: [0], hooks: { before: 'command' } },
  ).next('applyMigration frontend 2', fails('StepFailed'));
  const { handle, inState, status, update, report } = await harness.start(instance);
  // The hook before is a place to stand at too.
  await until(async () => (await status()).waitingFor?.includes('stand at v6.0.0') === true, {
    describe: 'the stop',
    show: status,
  });
  await update('continue', { by: 'ann' });
  await inState('needsOperator');
  await update('retryStep');
  await report;

  const { events = [] } = await handle.fetchHistory();
  const scheduled = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: it, userMetadata }) =>
    it ? [{ type: it.activityType?.name, summary: userMetadata?.summary }] : [],
  );
  const lines = scheduled.map(({ type, summary }) => {
    const words: unknown = summary ? defaultPayloadConverter.fromPayload(summary) : '';
    return `${type} • ${String(words)}`;
  });
  expect(lines.filter((line) => /• $|undefined|null|\[object/.test(line))).toEqual([]);
  expect(lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^makePlan • plan the way of \S+ down to v5\.0\.0$/),
      'readLeg • read from the journals how far the leg to v6.0.0 is',
      'callHook • hooks.before (command) at v9.0.0',
      'claim • claim frontend, codeintel',
      'checkDirty • check frontend before m3 name_of_m3',
      'applyMigration • codeintel c1 name_of_c1 ↓',
      'recordRelease • record release v6.0.0',
      'verifyRelease • verify release v6.0.0',
      'yieldClaim • give back the claim on frontend, codeintel: paused',
      'recordDecision • record the decision continue',
      'yieldClaim • give back the claim on frontend: parked',
      'runDataMigration • frontend data migration 7 reverse: what 7 does',
      'checkDirty • check frontend behind its last step',
      'endRun • record the end: completed',
    ]),
  );
});

test('the memo says where the plan is to be read, and what to type', async () => {
  const { handle, report, status } = await harness.start(twoSteps());
  await report;
  const { run, instance } = await status();
  const { memo } = await handle.describe();
  expect(memo).toEqual({
    UnwindPlan: {
      id: PLAN,
      way: 'v9.0.0 → v5.0.0',
      run,
      databases: 'frontend',
      sql: `select body from pgunwind.plan where id = '${PLAN}'`,
      beforeItsFirstStep: `pg-unwind plan ${instance} --to v5.0.0`,
      watch: `pg-unwind watch ${instance}`,
      log: `pg-unwind log ${instance} --run ${run}`,
    },
  });
  await saveHistory(handle, 'memo');
});

const ways = ['abort', 'turnBack'];

test.each([
  ['a step that failed', fails('StepFailed'), ['retryStep', 'skipStep', ...ways]],
  ['a step of which nobody knows what it did', fails('StepUndecided'), ['skipStep', ...ways]],
  ['a step whose lock was never free', fails('StepInterrupted'), ['setOptions', 'retryStep', ...ways]],
  ['a journal that lacks its plan', fails('JournalIncomplete'), ways],
  ['a role without its rights', fails('InsufficientPrivileges'), ['retryStep', ...ways]],
] as const)('%s: what fits is offered first, in heading, list and commands', async (_what, twist, names) => {
  const instance = twoSteps({ options: { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: 30, maximumAttempts: 1 } });
  const started = await harness.start(instance.next('applyMigration frontend 1', twist));
  const { waitingFor } = await started.inState('needsOperator');
  expect(offered(waitingFor ?? '', /"(\w+)"/g)).toEqual(names);
  const details = await detailsOf(started);
  expect(offered(details, /^- `(\w+)`/gm)).toEqual(names);
  expect(offered(details, /--name (\w+)/g)).toEqual(names);
  await takes(started, details, names);
});

test('a step that takes longer than it may is offered twice its time', async () => {
  const options = { stepTimeoutSeconds: 1, heartbeatTimeoutSeconds: 30, maximumAttempts: null };
  const gate = new Gate();
  const instance = twoSteps({ options }).next('applyMigration frontend 1', gate.twist);
  const started = await harness.start(instance);
  const { waitingFor } = await started.inState('needsOperator');
  gate.open();
  expect(offered(waitingFor ?? '', /"(\w+)"/g)).toEqual(['setOptions', 'retryStep', ...ways]);
  const details = await detailsOf(started);
  expect(details).toContain('`{ "stepTimeoutSeconds": 2 }`');
  await takes(started, details, ['setOptions', 'retryStep']);
  expect((await started.report).outcome).toBe('completed');
});

test('what a check has found can be put right, taken for the step’s own effect, or accepted', async () => {
  const started = await harness.start(twoSteps().next('checkDirty frontend 2', dirty('frontend')));
  await started.inState('needsOperator');
  const details = await detailsOf(started);
  expect(offered(details, /^- `(\w+)`/gm)).toEqual(['retryStep', 'acceptDirty', 'skipStep', ...ways]);
  await takes(started, details, ['acceptDirty']);
  expect((await started.report).outcome).toBe('completed');
});

const offered = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name);

async function detailsOf({ handle }: Started): Promise<string> {
  return (await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;
}

/** The first of them that goes on is sent with the data that the details offer, as one would copy them. */
async function takes({ update }: Started, details: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const [, data] = new RegExp(`^- \`${name}\`.*, with the data \`(.+)\`$`, 'm').exec(details) ?? [];
    await update(name, ...(data === undefined ? [] : [JSON.parse(data) as unknown]));
    if (name !== 'setOptions') return;
  }
}
