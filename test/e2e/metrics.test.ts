import { randomUUID } from 'node:crypto';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import getPort from 'get-port';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { seedShop, setUpShop, type Shop } from '../../src/cli/example/shop.js';
import type { Plan } from '../../src/contract/plan.js';
import { withClient } from '../support/postgres.js';
import { until } from '../support/until.js';
import { pgUnwind, stop, type Running } from './command-line.js';

// What Prometheus finds at a worker that has moved data.

const instance = `metrics-${randomUUID().slice(0, 8)}`;
let folder: string;
let shop: Shop;
let worker: Running;
let address: string;

const urlOf = (database: string, role = 'postgres') => {
  const url = new URL(inject('postgres').url);
  return Object.assign(url, { pathname: `/${database}`, username: role }).href;
};

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-metrics-'));
  const { url: superuserUrl, password } = inject('postgres');
  const postgres = { superuserUrl, password, url: urlOf };
  const temporal = { ...inject('temporal'), taskQueue: instance };
  shop = await setUpShop({ folder, instance, postgres, temporal });
  address = `127.0.0.1:${await getPort()}`;
  await appendFile(shop.configFile, `worker: { metricsAddress: "${address}" }\n`);
  worker = pgUnwind(['worker'], { PG_UNWIND_CONFIG: shop.configFile });
  const ready = { within: 90_000, describe: 'the worker', show: () => worker.printed() };
  await until(() => worker.printed().includes('worker ready'), ready);
  await run('upgrade', instance, '--to', shop.newest, '--accept-data-loss', (await planTo(shop.newest, '--up')).id);
  await seedShop(postgres, shop);
});

afterAll(async () => {
  if (worker) await stop(worker);
  await withClient(inject('postgres').url, async (client) => {
    for (const database of shop?.databases ?? []) {
      await client.query(`drop database if exists ${instance.replaceAll('-', '_')}_${database} with (force)`);
    }
  });
  await rm(folder, { recursive: true, force: true });
});

async function run(...words: string[]): Promise<string> {
  const wait = words[0] === 'plan' ? ['--json'] : ['--wait'];
  const { code, out, err } = await pgUnwind([...words, ...wait], { PG_UNWIND_CONFIG: shop.configFile }).ended;
  expect(code, out + err).toBe(0);
  return out;
}

async function planTo(to: string, ...more: string[]): Promise<Plan> {
  return JSON.parse(await run('plan', instance, '--to', to, ...more)) as Plan;
}

test('the rows, batches and progress of a data migration are counted, with instance, database and direction', async () => {
  await run('downgrade', instance, '--to', shop.oldest, '--accept-data-loss', (await planTo(shop.oldest)).id);
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const [phones] = await withClient(urlOf(`${instance.replaceAll('-', '_')}_orders`), async (client) => {
    const { rows } = await client.query<{ rows: number }>(
      `select rows::int from pgunwind.data_step where act = 'reverse'`,
    );
    return rows;
  });
  const of = (name: string) => {
    const line = text
      .split('\n')
      .find(
        (each) => each.startsWith(`${name}{`) && each.includes(`instance="${instance}"`) && each.includes('reverse'),
      );
    expect(line, text).toContain('database="orders"');
    expect(line).toContain('data_migration="1"');
    return Number(line?.split(' ').at(-1));
  };
  expect(phones?.rows).toBeGreaterThan(1_000);
  expect(of('pg_unwind_data_rows')).toBe(phones?.rows);
  expect(of('pg_unwind_data_batch_seconds_count')).toBeGreaterThan(1);
  expect(of('pg_unwind_data_progress')).toBe(0);
});
