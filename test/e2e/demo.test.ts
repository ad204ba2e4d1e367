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

/** What was said of the application, in order. */
function turnsIn(out: string): string[] {
  const lines = out.split('\n').map((line) => line.trim().replace(/ on http:\S+$/, ''));
  return lines.filter((line) => /^(deployer: v|v\S+ (answers|cannot)|it reads |"continue" )/.test(line));
}

const ALL_ANSWERED = 'POST /orders 201, GET /orders 200, GET /customers 200, GET /sites 200';

/** Each version is stopped before the databases move, and its neighbours fail on its databases, from both sides. */
const TURNS = [
  'deployer: v3.0.0 serves',
  `v3.0.0 answers: ${ALL_ANSWERED}`,
  'it reads Customer of v3.0.0 +35121900300',
  'v2.2.0 cannot yet: GET /orders 500, relation "order_notes" does not exist',
  'deployer: v3.0.0 stopped',
  'deployer: v2.2.0 serves',
  `v2.2.0 answers: ${ALL_ANSWERED}`,
  'it reads Customer of v2.2.0 +35121900220, Customer of v3.0.0 +35121900300',
  'v3.0.0 cannot any more: GET /orders 500, relation "refunds" does not exist',
  'v2.0.0 cannot yet: GET /customers 500, invalid input syntax for type integer: ""',
  'deployer: v2.2.0 stopped',
  '"continue" sent: the run goes on',
  'deployer: v2.0.0 serves',
  `v2.0.0 answers: ${ALL_ANSWERED}`,
  'it reads Customer of v2.0.0 +351 21 900200, Customer of v2.2.0 +351 21 900220, Customer of v3.0.0 +351 21 900300',
  'v2.2.0 cannot any more: GET /orders 500, column o.number does not exist',
  'v1.0.0 cannot yet: GET /sites 500, column "legacy_theme" does not exist',
  'deployer: v2.0.0 stopped',
  '"continue" sent: the run goes on',
  'deployer: v1.0.0 serves',
  `v1.0.0 answers: ${ALL_ANSWERED}`,
  'it reads Customer of v1.0.0 +351 21 900100, Customer of v2.0.0 +351 21 900200, Customer of v2.2.0 +351 21 900220, Customer of v3.0.0 +351 21 900300',
  'v2.0.0 cannot any more: GET /orders 500, column o.currency does not exist',
];

test('npm run demo -- --exit takes the shop down in turns with its application, kills its worker on the way, checks the result and ends with 0', async () => {
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
  // Those of the seed, and of the customers of each version; two of these were written in the newer form.
  expect(out).toMatch(/12,504 phone numbers in the older form again: 12,502 rows in \d+ batches, each exactly once/);
  expect(turnsIn(out)).toEqual(TURNS);
  expect(out).toMatch(/application v3\.0\.0 → v2\.2\.0 → v2\.0\.0 → v1\.0\.0, each where it can/);
  expect(out).toMatch(/Web UI +http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/unwind%2Fshop-demo\//);
  expect(Date.now() - began).toBeLessThan(WITHIN);
  expect(demoFolders()).toEqual(foldersBefore);
});

test('a demo that is interrupted stops what it started and leaves nothing behind', async () => {
  const foldersBefore = demoFolders();
  const demo = npmRun(['demo']);
  const url = await until(() => /deployer: v3\.0\.0 serves on (\S+)/.exec(demo.printed())?.[1], {
    within: WITHIN,
    describe: 'the application of the demo',
    show: () => demo.printed(),
  });
  const worker = Number(/Worker ready \(process (\d+)\)/.exec(demo.printed())?.[1]);
  expect(existsSync(`/proc/${worker}`) || process.platform !== 'linux').toBe(true);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);

  const { code } = await stop(demo);
  expect(code).not.toBe(0);
  expect(demo.printed()).toContain('Stopping …');
  await until(() => !isAlive(worker), { within: 10_000, describe: `worker ${worker} to be gone` });
  await expect(fetch(`${url}/healthz`), 'the application').rejects.toThrow();
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
