import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { workflowBundle } from '../support/bundle.js';
import { type Harness, openHarness } from './harness.js';
import { saveHistory } from './saved-history.js';
import { SCENARIOS } from './scenarios.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

describe.each([
  ['from the cache', {}],
  ['replayed from its start at every workflow task', { maxCachedWorkflows: 0 }],
] as const)('a run %s', (how, worker) => {
  test.concurrent.each(SCENARIOS)('$name', async ({ saveAs, make }) => {
    const { instance, play } = make();
    const started = await harness.start(instance, { worker });
    const { workflowId } = started.handle;
    const handle = (await play(started)) ?? started.handle;
    const history = await handle.fetchHistory();
    expect(history.events?.length).toBeGreaterThan(0);
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, workflowId);
    if (saveAs !== undefined && how === 'from the cache') await saveHistory(handle, saveAs);
  });
});
