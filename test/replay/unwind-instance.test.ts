import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DefaultLogger, makeTelemetryFilterString, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, describe, expect, test } from 'vitest';
import { workflowBundle } from '../support/bundle.js';
import { forbidden, secretsIn, textsOf } from '../support/kept.js';
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

test('there is a saved history of every shape that a run can take', () => {
  expect(files.toSorted()).toEqual(
    [
      'aborted',
      'accepted',
      'approved',
      'cancelled-in-a-step',
      'continued-as-new-1',
      'continued-as-new-2',
      'data-migrations',
      'data-run',
      'handler',
      'happy',
      'hook-parked-then-continued',
      'hooks',
      'many-warnings',
      'memo',
      'notices',
      'parked-then-resumed',
      'paused-then-resumed',
      'reset',
      'second-attempt',
      'skipped',
      'stale-then-claimed',
      'stop-on-the-way',
      'three-databases',
      'turned-back',
      'waited-for-writers',
      'went-back',
    ].map((shape) => `${shape}-0.1.0.json`),
  );
});

test.each(files)('%s replays', async (file) => {
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, load(file), 'unwind/replayed');
});

describe('what the saved histories hold', () => {
  // Those of real runs over real scripts are looked through where they are made (test/e2e); these must not have learnt to hold more.
  const list = forbidden({
    urls: ['postgres://', 'postgresql://', '127.0.0.1'],
    passwords: ['password', 'PGPASSWORD'],
    scripts: ['create table ', 'alter table ', 'insert into ', 'select pg', 'commit and chain'],
    rows: ['@example'],
  });

  test.each(files)('%s: no connection string, password, script or row', (file) => {
    const texts = textsOf(load(file));
    expect(texts, 'payloads are decoded').toContain('instance');
    expect(secretsIn(texts, list)).toEqual([]);
  });

  test.each(files)('%s: nothing of the machine that it was saved on', (file) => {
    expect(textsOf(load(file)).filter((text) => /node_modules|\/home\/|\/tmp\/|\n +at /.test(text))).toEqual([]);
  });

  test('one that is planted is found', () => {
    const json = readFileSync(path.join(folder, 'happy-0.1.0.json'), 'utf8');
    const secret = Buffer.from(JSON.stringify({ url: 'postgres://eve@db/shop' })).toString('base64');
    const planted: unknown = JSON.parse(json.replace(/"data": "[^"]+"/, `"data": "${secret}"`));
    expect(secretsIn(textsOf(planted), list)).toEqual(['a connection string']);
  });
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
