import { Context } from '@temporalio/activity';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createFigures } from '../../src/cli/data-figures.js';
import { createRuns } from '../../src/cli/runs.js';
import type { DataBeat } from '../../src/contract/data-activities.js';
import { until } from '../support/until.js';
import { failure, FakeInstance, Gate } from './fake-instance.js';
import { openHarness, type Harness } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

const BEAT: DataBeat = {
  doing: 'moving rows',
  batches: 4,
  rows: 4_000,
  batchRows: 1_000,
  rowsPerSecond: 2_000,
  progress: 0.6,
  secondsLeft: 3,
};

test('the figures of a data migration are those of its last heartbeat, and outlive a lost attempt', async () => {
  const gate = new Gate();
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m1'] }, data: { frontend: ['7'] } }]);
  instance.next('runDataMigration frontend', async () => {
    Context.current().heartbeat(BEAT);
    await gate.twist(async () => undefined);
    throw failure('InstanceBusy', 'another session holds the lock');
  });
  const started = await harness.start(instance);
  await gate.reached;
  const { namespace } = harness.client.options;
  const runs = createRuns({ client: harness.client, namespace, taskQueue: 'unused' });
  const name = (await started.status()).instance;
  const figures = async () => {
    const { data } = await createFigures(runs, name)(await started.status());
    return data[0]?.figures;
  };

  await until(async () => (await figures())?.rows === 4_000, {
    describe: 'the heartbeat to be seen',
    within: 20_000,
    show: figures,
  });
  expect(await figures()).toEqual(BEAT);

  gate.open();
  const seen: unknown[] = [];
  await until(
    async () => {
      const now = await figures();
      if (now !== undefined && now !== null) seen.push(now);
      return (await started.status()).state === 'completed';
    },
    { describe: 'the run to end', within: 60_000 },
  );
  expect(seen).toContainEqual({
    ...BEAT,
    doing: 'attempt 2 waits for its turn and for a worker (the last one ended: InstanceBusy)',
    failed: 'another session holds the lock',
  });
  expect((await started.status()).data).toEqual([]);
});
