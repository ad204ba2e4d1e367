import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workflowIdOf } from '../../src/contract/ids.js';
import type { UnwindReport } from '../../src/contract/messages.js';
import { repository } from '../support/shared.js';
import { until } from '../support/until.js';
import { SERVER_NAME } from './certificates.js';
import { openClusterShop, type ClusterShop, type ClusterShopOptions } from './cluster-shop.js';
import { makeNamespace } from './namespace.js';
import { openTemporalCluster, type TemporalCluster } from './temporal-cluster.js';

const mark = randomBytes(4).toString('hex');

let cluster: TemporalCluster;
const shops: ClusterShop[] = [];

beforeAll(async () => {
  cluster = await openTemporalCluster();
}, 240_000);

afterAll(async () => {
  for (const shop of shops) await shop.close();
  await cluster?.close();
}, 60_000);

async function openShop(options: ClusterShopOptions): Promise<ClusterShop> {
  const shop = await openClusterShop(options);
  shops.push(shop);
  return shop;
}

async function startBy(shop: ClusterShop, type: 'upgrade' | 'downgrade', to: string): Promise<void> {
  const id = ['--workflow-id', workflowIdOf(shop.instance), '--task-queue', 'pg-unwind', '--fail-existing'];
  const input = JSON.stringify({ instance: shop.instance, to, by: 'eve' });
  await shop.temporal('workflow', 'start', '--type', type, ...id, '--input', input);
}

async function approve(shop: ClusterShop): Promise<void> {
  const { plan } = await shop.inState('awaitingApproval');
  const input = JSON.stringify({ plan, by: 'eve', why: 'ticket OPS-1182' });
  const update = ['--workflow-id', workflowIdOf(shop.instance), '--name', 'approve', '--input', input];
  await shop.temporal('workflow', 'update', 'execute', ...update);
}

async function reportOf(shop: ClusterShop): Promise<UnwindReport> {
  const id = ['--workflow-id', workflowIdOf(shop.instance), '--output', 'json'];
  return (JSON.parse(await shop.temporal('workflow', 'result', ...id)) as { result: UnwindReport }).result;
}

describe('on a server that asks everyone for a certificate', () => {
  test('with a profile and the Temporal CLI, a downgrade outlives the death of its worker and of the server', async () => {
    const file = await writeProfile('cluster', 'rollbacks');
    const shop = await openShop({
      instance: `profile-${mark}`,
      temporal: { profile: 'cluster' },
      // the second is for the Temporal CLI, which does not read our file
      env: { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'cluster' },
    });
    await makeNamespace(shop, 'rollbacks');
    const first = await shop.worker('first');
    await startBy(shop, 'upgrade', shop.newest);
    await approve(shop);
    expect(await reportOf(shop)).toMatchObject({ outcome: 'completed', standsAt: shop.newest });
    await shop.seed();

    const holder = await shop.connect('orders');
    try {
      // Holds up the first step of `orders`: what dies now dies in the middle of the run.
      await holder.query('begin');
      await holder.query('select count(*) from shipments_2027');
      await startBy(shop, 'downgrade', 'v2.0.0');
      await approve(shop);
      await until(async () => (await waiting(holder)) > 0, { within: 60_000, describe: 'a step to wait' });
      const { run } = await shop.status();
      await first.kill();
      const second = await shop.worker('second');
      await until(() => second.log().some((line) => line.includes('applyMigration')), {
        within: 60_000,
        describe: 'the next attempt at it, by the other worker',
        show: () => second.log().slice(-4),
      });
      await cluster.kill();
      await cluster.start();
      await holder.query('rollback');
      expect(await reportOf(shop)).toMatchObject({ outcome: 'completed', standsAt: 'v2.0.0', run });
      await second.terminate();
    } finally {
      await holder.end();
    }
  });

  test('with TEMPORAL_* variables alone, a downgrade is started, approved and followed by pg-unwind', async () => {
    const namespace = 'by-variables';
    const env = { ...cluster.env, TEMPORAL_NAMESPACE: namespace };
    const shop = await openShop({ instance: `variables-${mark}`, temporal: {}, env });
    await makeNamespace(shop, namespace);
    const worker = await shop.worker('only');
    const { instance } = shop;
    const done = async (...words: string[]) => {
      const ended = await shop.pgUnwind(...words);
      expect(ended, ended.err).toMatchObject({ code: 0 });
      return ended.out;
    };
    const consent = async () => {
      const { plan } = await shop.inState('awaitingApproval');
      await done('approve', instance, '--plan', plan ?? '', '--why', 'ticket OPS-1182');
    };
    await done('upgrade', instance, '--to', shop.newest);
    await consent();
    await done('watch', instance);
    await shop.seed();

    const asks = await shop.pgUnwind('downgrade', instance, '--to', shop.oldest, '--wait');
    expect(asks, asks.err).toMatchObject({ code: 3 });
    await consent();
    await done('watch', instance);
    const report = JSON.parse(await done('status', instance, '--json')) as UnwindReport;
    expect(report).toMatchObject({ outcome: 'completed', standsAt: shop.oldest, stepsDone: 61 });
    // the list knows the run by its search attributes
    const query = `UnwindState="completed" and UnwindTarget="${shop.oldest}"`;
    await until(async () => (await shop.temporal('workflow', 'list', '--query', query)).includes(instance), {
      within: 30_000,
      every: 500,
      describe: 'the list to show it',
    });
    await worker.terminate();
  });
});

/** The profile of docs/production.md, with what is here in place of its examples. */
async function writeProfile(name: string, namespace: string): Promise<string> {
  const { client, ca } = cluster.certificates;
  const page = await readFile(path.join(repository, 'docs', 'production.md'), 'utf8');
  const [, shown = ''] = /^```toml\n([^]*?)^```$/m.exec(page) ?? [];
  const filled = shown
    .replace('temporal.example.org:7233', cluster.address)
    .replace('temporal.example.org', SERVER_NAME)
    .replace('"rollbacks"', `"${namespace}"`)
    .replace('/etc/pg-unwind/client.pem', client.cert)
    .replace('/etc/pg-unwind/client.key', client.key)
    .replace('/etc/pg-unwind/ca.pem', ca.cert);
  expect(filled).toContain(`[profile.${name}]`);
  expect(filled).not.toMatch(/example|\/etc/);
  const file = path.join(cluster.folder, 'temporal.toml');
  await writeFile(file, filled);
  return file;
}

/** How many sessions wait for what this one holds. */
async function waiting(holder: Awaited<ReturnType<ClusterShop['connect']>>): Promise<number> {
  const text =
    'select count(*)::integer as n from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid))';
  return (await holder.query<{ n: number }>(text)).rows[0]?.n ?? 0;
}
