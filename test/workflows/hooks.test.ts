import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { PlanSummary } from '../../src/contract/activities.js';
import { until } from '../support/until.js';
import { FakeInstance, fails, Gate } from './fake-instance.js';
import { type Harness, openHarness, refusalOf } from './harness.js';
import { saveHistory } from './saved-history.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const inTurns = (summary: Partial<PlanSummary> = {}) =>
  new FakeInstance(
    [
      { release: 'v6.0.0', steps: { frontend: ['m3'], codeintel: ['c2'] } },
      { release: 'v5.0.0', steps: { frontend: ['m2'], codeintel: ['c1'] } },
    ],
    { stops: [0], hooks: { before: 'command', atStop: 'webhook', after: 'webhook' }, ...summary },
  );
const place = (instance: FakeInstance, call: string) => {
  const at = instance.calls.findIndex((line) => line.startsWith(call));
  expect(at, call).toBeGreaterThanOrEqual(0);
  return at;
};

test('hooks are called before the first claim, at the stop and behind the last check, while nothing is claimed', async () => {
  const instance = inTurns({ destructiveSteps: 1 });
  const { handle, update, inState, report } = await harness.start(instance);
  const { plan } = await inState('awaitingApproval');
  expect(instance.count('callHook')).toBe(0);
  await update('approve', { plan });
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 4 });
  expect(instance.hookCalls.map(({ hook, release, next, leg }) => [hook, release, next, leg])).toEqual([
    ['before', 'v9.0.0', 'v6.0.0', null],
    ['atStop', 'v6.0.0', 'v5.0.0', 1],
    ['after', 'v5.0.0', null, 2],
  ]);
  expect(place(instance, 'callHook before')).toBeLessThan(place(instance, 'claim'));
  const given = place(instance, 'yieldClaim frontend,codeintel paused');
  expect(place(instance, 'verifyRelease 0')).toBeLessThan(given);
  expect(given).toBeLessThan(place(instance, 'callHook atStop'));
  expect(place(instance, 'callHook atStop')).toBeLessThan(place(instance, 'readLeg 1'));
  expect(instance.calls.slice(place(instance, 'callHook after')).filter((line) => line.startsWith('claim'))).toEqual(
    [],
  );
  expect(place(instance, 'callHook after')).toBeLessThan(place(instance, 'endRun completed'));
  expect(instance.calls.lastIndexOf('yieldClaim frontend,codeintel paused')).toBeLessThan(
    place(instance, 'callHook after'),
  );
  await saveHistory(handle, 'hooks');
});

test('a hook that fails parks; a retry calls it again, and a continue stands for its answer', async () => {
  const instance = inTurns();
  instance
    .next('callHook before', fails('HookFailed'))
    .next('callHook atStop', fails('HookFailed'), fails('HookFailed'));
  const { handle, update, inState, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([
    { database: null, during: 'hook', failure: 'HookFailed' },
  ]);
  expect(instance.count('claim ')).toBe(0);
  await update('retryStep', { by: 'ann' });
  await until(() => instance.count('callHook atStop') === 1, { describe: 'the stop' });
  await inState('needsOperator');
  await update('retryStep');
  await until(() => instance.count('callHook atStop') === 2, { describe: 'the second call' });
  await inState('needsOperator');
  const { waitingFor } = await update('continue', { release: 'v6.0.0', by: 'ann', why: 'deployed by hand' });
  expect(waitingFor).toBeNull();
  expect(await report).toMatchObject({ outcome: 'completed', stepsDone: 4 });
  expect(instance.count('callHook')).toBe(5); // twice each of the first two
  const keys = instance.hookCalls.map(({ hook, idempotencyKey }) => `${hook} ${idempotencyKey}`);
  expect(new Set(keys).size).toBe(instance.hookCalls.length); // of those that were not twisted, one each
  const { run } = instance.hookCalls[0] as { run: string };
  expect(instance.decisions.at(-1)).toMatchObject({
    kind: 'continue',
    details: { release: 'v6.0.0', hook: `${run}-atStop-1` },
  });
  await saveHistory(handle, 'hook-parked-then-continued');
});

test('a pause lets a call end, and the run goes on after the resume', async () => {
  const gate = new Gate();
  const instance = inTurns().next('callHook before', gate.twist);
  const { update, status, report } = await harness.start(instance);
  await gate.reached;
  expect(await refusalOf(update('continue', { release: 'v6.0.0' }))).toContain('waits at v9.0.0');
  await update('pause');
  gate.open();
  await until(async () => (await status()).hook === undefined, { describe: 'the hook to have answered', show: status });
  expect(instance.count('applyMigration')).toBe(0);
  await update('resume');
  expect(await report).toMatchObject({ outcome: 'completed' });
});

test('a call that somebody completes by hand with a result of another kind parks', async () => {
  const instance = inTurns().next('callHook atStop', () => ({ fine: true }));
  const { update, inState, report } = await harness.start(instance);
  expect((await inState('needsOperator')).parked).toMatchObject([{ during: 'hook', failure: 'SettledByHand' }]);
  await update('retryStep');
  expect((await report).outcome).toBe('completed');
});

test('a run that goes on from the journal does not call what comes before its first claim', async () => {
  const instance = inTurns({ resumed: true });
  const { report } = await harness.start(instance);
  expect((await report).outcome).toBe('completed');
  expect(instance.hookCalls.map(({ hook }) => hook)).toEqual(['atStop', 'after']);
});

test('where all is there already no hook is called', async () => {
  const instance = new FakeInstance([], { hooks: { before: 'webhook', after: 'webhook' } });
  const { report } = await harness.start(instance);
  expect((await report).outcome).toBe('alreadyThere');
  expect(instance.count('callHook')).toBe(0);
});
