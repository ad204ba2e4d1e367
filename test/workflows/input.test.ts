import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { FakeInstance, fails } from './fake-instance.js';
import { failureOf, type Harness, openHarness } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const oneStep = () => new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'] } }]);

test.each([
  ['no input at all', [], /the input/],
  ['null', [null], /the input/],
  ['a string', ['acme-eu'], /the input/],
  ['an array', [['acme-eu', 'v5.0.0']], /the input/],
  ['an unknown field', [{ instance: 'a', to: 'v5.0.0', froce: true }], /unknown field "froce"/],
  ['a wrong type', [{ instance: 'a', to: 5 }], /"to"/],
  ['a missing field', [{ to: 'v5.0.0' }], /"instance"/],
  [
    'a consent that is no plan id',
    [{ instance: 'a', to: 'v5.0.0', acceptDataLoss: 'yes' }],
    /"acceptDataLoss".*plan id/,
  ],
  [
    'a second argument',
    [
      { instance: 'a', to: 'v5.0.0' },
      { instance: 'b', to: 'v5.0.0' },
    ],
    /second argument/,
  ],
])('%s fails the run at once and says why', async (_, args, message) => {
  const instance = oneStep();
  const { report, handle } = await harness.start(instance, { args });
  const failure = await failureOf(report);
  expect(failure.type).toBe('InvalidInput');
  expect(failure.message).toMatch(message);
  expect(failure.message).toContain('Nothing was done');
  expect(instance.calls).toEqual([]);
  expect((await handle.describe()).historyLength).toBe(5); // started, the task's three, failed: no command before
});

test('an unknown instance fails the run at once', async () => {
  const instance = oneStep().next('makePlan', fails('UnknownInstance', 'there is no instance "a"; did you mean "b"?'));
  const failure = await failureOf((await harness.start(instance)).report);
  expect(failure).toEqual({ type: 'UnknownInstance', message: 'there is no instance "a"; did you mean "b"?' });
  expect(instance.calls).toHaveLength(1);
});

test('an error of our own in workflow code ends the run instead of hanging it', async () => {
  const instance = oneStep().next('makePlan', () => ({})); // no plan at all: what follows reads undefined
  const failure = await failureOf((await harness.start(instance)).report);
  expect(failure.type).toBe('Unexpected');
  expect(failure.message).toContain('an error of pg-unwind itself');
});
