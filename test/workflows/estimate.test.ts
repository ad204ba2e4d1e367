import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Expected } from '../../src/contract/estimate.js';
import { FakeInstance, fails, Gate } from './fake-instance.js';
import { openHarness, type Harness } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const EXPECTED: Expected = {
  stepMs: { frontend: [60_000, 120_000, 300_000], codeintel: [240_000] },
  known: 4,
  legMs: 10_000,
  endMs: 20_000,
};
/** Anew for each test: an instance notes in them what is closed. */
const legs = () => [
  { release: 'v6.0.0', steps: { frontend: ['m3', 'm2'], codeintel: ['c1'] } },
  { release: 'v5.0.0', steps: { frontend: ['m1'], codeintel: [] } },
];

/** Stands in the first step of each database. */
async function held(way: ConstructorParameters<typeof FakeInstance>[0], summary: object) {
  const [frontend, codeintel] = [new Gate(), new Gate()];
  const instance = new FakeInstance(way, summary);
  instance.next('applyMigration frontend 1 ', frontend.twist).next('applyMigration codeintel 1 ', codeintel.twist);
  const run = await harness.start(instance);
  await Promise.all([frontend.reached, codeintel.reached]);
  return {
    ...run,
    go() {
      frontend.open();
      codeintel.open();
    },
  };
}

describe('what a run says of its end', () => {
  test('is the slowest database of each leg, the boundaries and the end; nothing once it is there', async () => {
    const { status, report, go, handle } = await held(legs(), { expected: EXPECTED });
    const { estimate, estimatedEnd } = await status();
    expect(estimate).toMatchObject({ basis: 'earlierRuns', unknown: [] });
    const all = 240 + 10 + 300 + 10 + 20;
    expect(estimate!.seconds).toBeGreaterThan(all - 30); // workflow time goes on while the first steps run
    expect(estimate!.seconds).toBeLessThanOrEqual(all);
    expect(estimate!.secondsAfterCurrent, 'without the steps under way').toBe(120 + 10 + 300 + 10 + 20);
    expect(Date.parse(estimatedEnd!) - Date.parse(estimate!.asOf)).toBe(estimate!.seconds * 1_000);
    const { currentDetails } = (await handle.query('__temporal_workflow_metadata')) as { currentDetails: string };
    expect(currentDetails).toMatch(/0 of 4 steps done · about 10 min left, until \d\d:\d\d UTC/);
    go();
    await report;
    const over = await status();
    expect(over.estimatedEnd).toBeNull();
    expect(over).not.toHaveProperty('estimate');
  });

  test('has no end where a stop lies ahead or nothing is known of data, which it names and does not count', async () => {
    const [first, last] = legs();
    const way = [{ ...first!, data: { frontend: ['7'], codeintel: ['8'] } }, last!];
    const data = [
      { leg: 0, database: 'frontend', id: '7', ms: null },
      { leg: 0, database: 'codeintel', id: '8', ms: 600_000 },
    ];
    const { status, report, go, update, inState } = await held(way, { expected: { ...EXPECTED, data }, stops: [0] });
    const { estimate, estimatedEnd } = await status();
    expect(estimatedEnd).toBeNull();
    expect(estimate?.unknown).toEqual(['frontend data migration 7', 'the stop at v6.0.0']);
    expect(estimate?.secondsAfterCurrent).toBe(120 + 600 + 10 + 300 + 10 + 20);
    go();
    const stopped = await inState('atStop');
    expect(stopped.estimatedEnd).toBeNull();
    expect(stopped.estimate).toMatchObject({ seconds: 300 + 10 + 20, unknown: [] });
    await update('continue', {});
    await report;
  });

  test('has no end while a person is waited for, and counts the parked step whole', async () => {
    const instance = new FakeInstance([legs()[1]!], { expected: { ...EXPECTED, known: 0 } });
    instance.next('applyMigration frontend 1 ', fails('StepFailed'));
    const { inState, update, report } = await harness.start(instance);
    expect(await inState('needsOperator')).toMatchObject({
      estimatedEnd: null,
      estimate: { seconds: 60 + 10 + 20, secondsAfterCurrent: 60 + 10 + 20, basis: 'guess' },
    });
    const { estimatedEnd, ...after } = await update('abort', {});
    expect(estimatedEnd).toBeNull();
    expect(after).not.toHaveProperty('estimate');
    await report;
  });

  test('goes by its own pace when some steps are done', async () => {
    const ids = Array.from({ length: 12 }, (_, at) => `m${12 - at}`);
    const expected = { stepMs: { frontend: ids.map(() => 60_000) }, known: 0, legMs: 0, endMs: 0 };
    const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ids } }], { expected });
    const gate = new Gate();
    instance.next('applyMigration frontend 7 ', gate.twist);
    const { status, report } = await harness.start(instance);
    await gate.reached;
    const { estimate } = await status();
    expect(estimate?.basis).toBe('thisRun');
    expect(estimate?.seconds, 'six steps that took no minute each').toBeLessThan(6 * 30);
    gate.open();
    await report;
  });

  test('is nothing in a run whose plan was made before there were estimates', async () => {
    const { status, report, go } = await held(legs(), {});
    const before = await status();
    expect(before.estimatedEnd).toBeNull();
    expect(before).not.toHaveProperty('estimate');
    go();
    await report;
  });
});
