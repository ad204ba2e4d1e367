import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { setUpShop, type Shop } from '../../src/cli/example/shop.js';
import type { StatusReport } from '../../src/contract/messages.js';
import type { Plan } from '../../src/contract/plan.js';
import { startDevServer, type DevServer } from '../../src/temporal/dev-server.js';
import { withClient } from '../support/postgres.js';
import { until } from '../support/until.js';
import { pgUnwind, stop, type Ended, type Running } from './command-line.js';

// docs/runbook.md, "Temporal itself is gone": its server and its history are lost in the middle of a run, and the worker with them.

const instance = `gone-${randomUUID().slice(0, 8)}`;
const running = new Set<Running>();
let folder: string;
let shop: Shop;
let temporal: DevServer;

const urlOf = (database: string, role = 'postgres') => {
  const url = new URL(inject('postgres').url);
  return Object.assign(url, { pathname: `/${database}`, username: role }).href;
};
const databaseOf = (name: string) => `${instance.replaceAll('-', '_')}_${name}`;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-gone-'));
  temporal = await startDevServer({ headless: true, anyPort: true });
  const { url: superuserUrl, password } = inject('postgres');
  const { address, namespace } = temporal;
  shop = await setUpShop({
    folder,
    instance,
    postgres: { superuserUrl, password, url: urlOf },
    temporal: { address, namespace },
  });
});

afterAll(async () => {
  await Promise.all([...running].map(stop));
  await temporal?.stop();
  await withClient(inject('postgres').url, async (client) => {
    for (const name of shop?.databases ?? []) {
      await client.query(`drop database if exists ${databaseOf(name)} with (force)`);
    }
  });
  await rm(folder, { recursive: true, force: true });
});

function start(words: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const begun = pgUnwind(words, { PG_UNWIND_CONFIG: shop.configFile, ...env });
  running.add(begun);
  return begun;
}

async function run(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const ended = await start(words, env).ended;
  expect(ended.code, ended.out + ended.err).toBe(0);
  return ended;
}

async function planTo(to: string, ...more: string[]): Promise<Plan> {
  return JSON.parse((await run(['plan', instance, '--to', to, '--json', ...more])).out) as Plan;
}

async function waitFor(process: Running, text: string): Promise<void> {
  const shown = { within: 90_000, describe: text, show: () => process.printed() };
  await until(() => process.printed().includes(text), shown);
}

test('"pg-unwind dev" goes on from the journals, with the consent of before, and repeats nothing', async () => {
  const worker = start(['worker']);
  await waitFor(worker, 'worker ready');
  const up = await planTo(shop.newest, '--up');
  await run(['upgrade', instance, '--to', shop.newest, '--accept-data-loss', up.id, '--wait']);
  const plan = await planTo(shop.oldest);
  await run(['downgrade', instance, '--to', shop.oldest, '--accept-data-loss', plan.id, '--via', 'v2.0.0']);
  // Its exit code says that a person is waited for.
  const status = async () => JSON.parse((await start(['status', instance, '--json']).ended).out) as StatusReport;
  await until(async () => (await status()).state === 'atStop', { within: 60_000, describe: 'the run at v2.0.0' });
  const { stepsDone, run: id } = await status();

  process.kill(temporal.pid, 'SIGKILL');
  await temporal.ended;
  process.kill(-(worker.process.pid ?? 0), 'SIGKILL');
  await worker.ended;

  const config = parse(await readFile(shop.configFile, 'utf8')) as { temporal: Record<string, unknown> };
  delete config.temporal['address'];
  await writeFile(shop.configFile, stringify(config));
  const dev = start(['dev']);
  await waitFor(dev, 'Ctrl-C stops everything.'); // the end of its greeting
  const [, address = '', namespace = ''] = /TEMPORAL_ADDRESS=(\S+) TEMPORAL_NAMESPACE=(\S+)/.exec(dev.printed()) ?? [];
  expect(address).not.toBe('');
  const env = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace };
  const { out } = await run(['downgrade', instance, '--to', shop.oldest, '--wait'], env);
  expect(out.trimEnd().split('\n').at(-1)).toMatch(
    new RegExp(`^${instance} stands at ${shop.oldest}: .* verified\\.$`),
  );

  expect(stepsDone).toBeGreaterThan(20);
  for (const name of shop.databases) {
    const journal = await withClient(urlOf(databaseOf(name)), async (client) => {
      const { rows } = await client.query<{ run: string; state: string; repeated: boolean }>(
        `select r.run, r.state, exists (select from pgunwind.step s where s.run = r.run and s.attempt > 1) as repeated
           from pgunwind.run r where r.direction = 'down'`,
      );
      return rows;
    });
    expect(journal).toEqual([{ run: id, state: 'completed', repeated: false }]);
  }
});
