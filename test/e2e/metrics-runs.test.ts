import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import getPort from 'get-port';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { workflowIdOf } from '../../src/contract/ids.js';
import { openReceiver } from '../support/receiver.js';
import { until } from '../support/until.js';
import { pgUnwind, stop } from './command-line.js';
import { buildParts, openParts } from './hooks-shop.js';

// What Prometheus finds at a worker whose run waits for a lock, is parked, and ends.

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

test('steps, checks, retries, lock waits, hook calls and parked runs are counted, and a run that has ended is parked no more', async () => {
  const receiver = await openReceiver();
  receiver.replies(503, 200);
  const shop = await openParts(parts.folder, { notify: { webhook: { url: receiver.url } } });
  const { address, namespace } = inject('temporal');
  const taskQueue = `metrics-${randomUUID()}`;
  const metricsAddress = `127.0.0.1:${await getPort()}`;
  const file = path.join(parts.folder, `${taskQueue}.yaml`);
  const temporal = { address, namespace, taskQueue };
  await writeFile(file, stringify({ ...shop.content, temporal, worker: { metricsAddress } }));
  const worker = pgUnwind(['worker', '--config', file], { FRONTEND_URL: shop.database.url });
  onTestFinished(async () => void (await stop(worker)));

  /** The sum over the series that have these labels; null: there is none. */
  const value = async (name: string, labels: Readonly<Record<string, string>> = {}) => {
    const text = await fetch(`http://${metricsAddress}/metrics`).then(
      (response) => response.text(),
      () => '',
    );
    const wanted = Object.entries({ instance: shop.name, ...labels }).map(([label, is]) => `${label}="${is}"`);
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) && wanted.every((each) => line.includes(each)));
    return lines.length === 0 ? null : lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const untilValue = async (is: (value: number | null) => boolean, ...of: Parameters<typeof value>) => {
    let seen: number | null = null;
    await until(async () => is((seen = await value(...of))), {
      describe: `${of[0]} ${JSON.stringify(of[1])}`,
      within: 90_000,
      show: () => [seen, worker.printed()],
    });
  };

  const other = new pg.Client({ connectionString: shop.database.url });
  await other.connect();
  onTestFinished(() => other.end());
  await other.query('begin');
  await other.query('alter function part_3() cost 50');
  await shop.database.query('create view public.in_the_way as select part_2()');
  const handle = await shop.engine.client.workflow.start('downgrade', {
    taskQueue,
    workflowId: workflowIdOf(shop.name),
    args: [{ instance: shop.name, to: 'v1.0.0' }],
  });
  const database = 'frontend';
  await untilValue((ms) => (ms ?? 0) > 1_000, 'pg_unwind_lock_wait_milliseconds', { database });
  await untilValue((count) => (count ?? 0) > 0, 'pg_unwind_retries', { activity: 'applyMigration' });
  await other.query('rollback');
  await untilValue((count) => count === 1, 'pg_unwind_runs', { state: 'needsOperator' });
  expect(await value('pg_unwind_parks', { database })).toBe(1);
  expect(await value('pg_unwind_steps', { database, outcome: 'ok' })).toBe(1);
  expect(await value('pg_unwind_steps', { database, outcome: 'failed' })).toBeGreaterThan(1);
  expect(await value('pg_unwind_step_seconds_count', { database })).toBe(1);
  await untilValue((count) => count === 1, 'pg_unwind_hook_calls', { hook: 'notify', outcome: 'answered' });
  expect(await value('pg_unwind_hook_calls', { hook: 'notify', outcome: 'unanswered' })).toBe(1);

  await shop.database.query('create table public.surprise ()');
  await handle.executeUpdate('retryStep');
  await untilValue((count) => count === 1, 'pg_unwind_checks', { database, verdict: 'changedByOthers' });
  await untilValue((count) => count === 2, 'pg_unwind_parks', { database });
  await handle.executeUpdate('abort');
  expect(await handle.result()).toMatchObject({ outcome: 'aborted' });
  await untilValue((count) => count === 0, 'pg_unwind_runs', { state: 'needsOperator' });
  expect(await value('pg_unwind_checks', { database, verdict: 'clean' })).toBeGreaterThan(1);
});
