import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, expect, test } from 'vitest';
import { workflowBundle } from '../support/bundle.js';
import { repository } from '../support/shared.js';

// Histories of real runs against the fakes of test/workflows, named by the release they were saved for. They also guard against
// a second copy of protobufjs, with which no history can be read from JSON ("type must be a Type").
//
// Before a release the workflow may change freely; then save them again:
//   PG_UNWIND_SAVE_HISTORIES=1 npx vitest run --project workflows && npx vitest run --project replay
// Those of a release that is out are never edited and never deleted while such runs may live: a change then takes a patch id
// (src/workflows/patches.ts) and new files beside them.
const folder = path.join(repository, 'test', 'replay', 'histories', 'unwind-instance');
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));

beforeAll(() => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
  });
});

test('there are saved histories of a happy and of a parked run', () => {
  expect(files).toEqual(expect.arrayContaining(['happy-0.1.0.json', 'parked-then-resumed-0.1.0.json']));
});

test.each(files)('%s replays', async (file) => {
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, load(file), 'unwind/replayed');
});

test('a history with a step of another order does not replay', async () => {
  const json = readFileSync(path.join(folder, 'happy-0.1.0.json'), 'utf8');
  const changed: unknown = JSON.parse(json.replaceAll('frontend-0002-down', 'frontend-0007-down'));
  const replay = Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, changed, 'unwind/replayed');
  await expect(replay).rejects.toThrow(DeterminismViolationError);
});

function load(file: string): unknown {
  return JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
}
