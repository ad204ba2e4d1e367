import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import type { StatusReport } from '../../src/contract/messages.js';
import { openTestEngine, type TestEngine, type TestRun } from '../support/engine.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { until } from '../support/until.js';
import { inFolder, migration, write, type Files } from '../unit/catalog/sources.js';

// A way of eight seconds, most of it in a few of its steps.
const SECONDS: Readonly<Record<number, number>> = {
  2: 0.1,
  3: 2,
  4: 0.1,
  5: 0.1,
  6: 1.5,
  7: 0.1,
  8: 2.5,
  9: 0.3,
  10: 0.1,
  11: 0.8,
};
const part = (id: number): Files =>
  migration(`${id}_part`, [id - 1], {
    up: `create table part${id} (id integer);`,
    down: `select pg_sleep(${SECONDS[id]}); drop table part${id};`,
  });
const upTo = (last: number) =>
  inFolder(
    'frontend',
    migration('1_base', [], { up: 'create table base (id integer);', down: 'drop table base;' }),
    ...Array.from({ length: last - 1 }, (_, at) => part(at + 2)),
  );
const RELEASES: Readonly<Record<string, Files>> = { 'v1.0.0': upTo(1), 'v2.0.0': upTo(6), 'v3.0.0': upTo(11) };

const instance = `estimate-${randomUUID().slice(0, 8)}`;
let folder = '';
let database: TestDatabase;
let engine: TestEngine;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-estimate-'));
  const source = path.join(folder, 'sources');
  for (const [label, files] of Object.entries(RELEASES)) write(path.join(source, label), files);
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
  database = await createDatabase();
  const config = `
products:
  shop:
    catalog: ./shop
    ledger: { kind: sourcegraph }
    databases: { frontend: { ledgerKey: schema_migrations } }
instances:
  ${instance}:
    product: shop
    databases:
      frontend: { url: { env: FRONTEND_URL } }
`;
  engine = await openTestEngine({ config, folder, env: { FRONTEND_URL: database.url } });
  await (await engine.start('upgrade', { instance, to: 'v3.0.0' })).unaided();
});
afterAll(async () => {
  await engine?.close();
  if (database) {
    await expectNoLeaks(database);
    await database.drop();
  }
  if (folder !== '') await rm(folder, { recursive: true });
});

async function down(): Promise<TestRun> {
  const { plan } = await engine.plan({ instance, to: 'v1.0.0', direction: 'down' });
  return engine.start('downgrade', { instance, to: 'v1.0.0', acceptDataLoss: plan.id });
}

/** As soon as so many steps are done. */
async function atStep(run: TestRun, steps: number): Promise<StatusReport> {
  let seen: StatusReport | null = null;
  await until(
    async () => {
      seen = await run.status();
      return seen.plan !== null && seen.leg !== null && seen.stepsDone >= steps;
    },
    { describe: `step ${steps} to be done`, within: 60_000, every: 20, show: () => seen },
  );
  return seen as unknown as StatusReport; // as: until() ends with one
}

/** A second, and a quarter of what is left: two cores, and other tests beside this one. */
const near = (truth: number) => ({ least: truth * 0.75 - 1, most: truth * 1.25 + 1 });

test('a downgrade that ran before tells when it will end, from its first step on; the first one says that it guesses', async () => {
  const first = await down();
  expect(await atStep(first, 0)).toMatchObject({ estimate: { basis: 'guess', unknown: [] } });
  await first.unaided();
  expect(await first.status(), 'nothing is left').toMatchObject({ state: 'completed', estimatedEnd: null });
  expect(await first.status()).not.toHaveProperty('estimate');
  await (await engine.start('upgrade', { instance, to: 'v3.0.0' })).unaided();

  const second = await down();
  const seen = [await atStep(second, 0), await atStep(second, 4), await atStep(second, 7)];
  expect(await second.unaided()).toMatchObject({ outcome: 'completed', stepsDone: 10 });
  const { closeTime } = await second.handle.describe();
  for (const { estimate, estimatedEnd, stepsDone } of seen) {
    expect(estimate).toMatchObject({ basis: 'earlierRuns', unknown: [] });
    const { seconds, asOf, secondsAfterCurrent } = estimate!;
    const truth = (closeTime!.getTime() - Date.parse(asOf)) / 1_000;
    console.info(`after ${stepsDone} steps: ${seconds} s were expected to be left, ${truth.toFixed(1)} s were`);
    const { least, most } = near(truth);
    expect(seconds).toBeGreaterThanOrEqual(least);
    expect(seconds).toBeLessThanOrEqual(most);
    expect(secondsAfterCurrent).toBeLessThanOrEqual(seconds);
    expect(Date.parse(estimatedEnd!)).toBe(Date.parse(asOf) + seconds * 1_000);
  }
  await (await engine.start('upgrade', { instance, to: 'v3.0.0' })).unaided();
});

test('a run that a person holds has no end to tell, and says how much work is left', async () => {
  const run = await down();
  await atStep(run, 1);
  await run.update('pause', { by: 'ann' });
  const paused = await run.inState('paused');
  expect(paused.estimatedEnd).toBeNull();
  expect(paused.estimate?.seconds).toBeGreaterThan(3);
  await run.update('resume', { by: 'ann' });
  expect((await run.status()).estimatedEnd).not.toBeNull();
  expect((await run.update('abort', { by: 'ann' })).estimatedEnd).toBeNull();
  expect(await run.report).toMatchObject({ outcome: 'aborted' });
});
