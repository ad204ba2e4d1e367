import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DevServer, startDevServer } from '../../src/temporal/dev-server.js';
import { workflowBundle } from '../support/bundle.js';
import { until } from '../support/until.js';
import { FakeInstance, fails } from './fake-instance.js';
import { type Harness, openHarness } from './harness.js';
import { firstRunOf, partsOf } from './parts.js';

/** A server of its own: it suggests a new run after so many events, instead of 4,096. */
const SUGGESTED_AT = 400;

/** An activity's scheduled, started and ended, and the three of the workflow task that hears of it. */
const MESSAGE = 6;
/**
 * Events after the suggestion. It is given at a workflow task, so a message late; then what is under way ends first, where no two
 * messages share a workflow task: the other database's step, the failed step, its record, and a decision (accepted, recorded,
 * completed) that came meanwhile; two changes of search attributes, and the new run.
 */
const TO_COME_TO_REST = MESSAGE + 3 * MESSAGE + (MESSAGE + 5) + 2 + 1;

let server: DevServer;
let harness: Harness;
beforeAll(async () => {
  server = await startDevServer({
    headless: true,
    anyPort: true,
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': SUGGESTED_AT },
  });
  harness = await openHarness(server);
});
afterAll(async () => {
  await harness.close();
  await server.stop();
});

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${count - index}`);

test('a thousand steps: no part grows beyond the suggestion, none is lost or repeated, and no decision is', async () => {
  const PARKED = 20;
  const instance = new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ids('m', 600), codeintel: ids('c', PARKED) } },
    { release: 'v5.0.0', steps: { frontend: ids('n', 380) } },
  ]);
  instance.riding = true;
  for (let seq = 1; seq <= PARKED; seq += 1) instance.next(`applyMigration codeintel ${seq} `, fails('StepFailed'));
  const { handle, status, update, report } = await harness.start(instance);
  // While the other database runs from one history into the next, somebody decides again and again.
  const said: string[] = [];
  for (let n = 1; n <= PARKED; n += 1) {
    await until(async () => (await status()).parked.some(({ seq }) => seq === n), {
      describe: `step ${n} to be parked`,
      within: 60_000,
    });
    await update('retryStep', { database: 'codeintel', by: 'ann', why: `decision ${n}` });
    said.push(`decision ${n}`);
  }
  const result = await report;

  expect(result).toMatchObject({ outcome: 'completed', standsAt: 'v5.0.0', stepsDone: 1_000, stepsTotal: 1_000 });
  expect(result.decisions.map(({ why }) => why)).toEqual(said);
  expect(
    instance.decisions.map(({ why }) => why),
    'in the journal too',
  ).toEqual(said);
  expect(instance.calls.filter((call) => call.startsWith('done ')).length).toBe(1_000);
  expect(new Set(instance.calls.filter((call) => call.startsWith('done '))).size).toBe(1_000);
  expect(instance.count('applyMigration')).toBe(1_000 + PARKED);

  const parts = await partsOf(handle, firstRunOf(handle));
  const lengths = parts.map(({ events }) => events?.length ?? 0);
  console.info(`${parts.length} parts of ${Math.min(...lengths)} to ${Math.max(...lengths)} events`);
  expect(parts.length).toBeGreaterThan(1_000 / SUGGESTED_AT);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(SUGGESTED_AT + TO_COME_TO_REST);
  const replays = [parts[0], parts[1], parts.at(-1)];
  for (const history of replays) await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history);
});
