import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { until } from '../support/until.js';
import { npmRun, stop } from './command-line.js';

const WITHIN = 180_000;

function demoFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('pg-unwind-demo-'));
}

function lastLines(text: string, count: number): string[] {
  return text.trimEnd().split('\n').slice(-count);
}

test('npm run demo -- --exit takes the shop down, kills its worker on the way, checks the result and ends with 0', async () => {
  const began = Date.now();
  const foldersBefore = demoFolders();
  const { code, out, err } = await npmRun(['demo', '--', '--exit']).ended;

  expect(err).not.toMatch(/error/i);
  expect({ code, last: lastLines(out, 1) }).toEqual({
    code: 0,
    last: ['shop-demo stands at v1.0.0: 61 of 61 steps done, verified.'],
  });
  expect(out).toMatch(/worker \d+ killed with SIGKILL after \d+ of 61 steps/);
  expect(out).toMatch(/it goes on, [\d.]+ s after the kill/);
  expect(out).toMatch(/data goes back at v2\.1\.0, before the leg to v2\.0\.0: orders data migration 1/);
  expect(out).toMatch(/Checked: every database is clean, what is applied is exactly the release/);
  expect(out).toMatch(/12,500 phone numbers in the older form again: 12,500 rows in \d+ batches, each exactly once/);
  expect(out).toMatch(/Web UI +http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/unwind%2Fshop-demo\//);
  expect(Date.now() - began).toBeLessThan(WITHIN);
  expect(demoFolders()).toEqual(foldersBefore);
});

test('a demo that is interrupted stops what it started and leaves nothing behind', async () => {
  const foldersBefore = demoFolders();
  const demo = npmRun(['demo']);
  await until(() => demo.printed().includes('Worker ready'), {
    within: WITHIN,
    describe: 'the worker of the demo',
    show: () => demo.printed(),
  });
  const worker = Number(/Worker ready \(process (\d+)\)/.exec(demo.printed())?.[1]);
  expect(existsSync(`/proc/${worker}`) || process.platform !== 'linux').toBe(true);

  const { code } = await stop(demo);
  expect(code).not.toBe(0);
  expect(demo.printed()).toContain('Stopping …');
  await until(() => !isAlive(worker), { within: 10_000, describe: `worker ${worker} to be gone` });
  expect(demoFolders()).toEqual(foldersBefore);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
