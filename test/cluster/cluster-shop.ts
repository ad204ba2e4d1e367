import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { inject } from 'vitest';
import { parse, stringify } from 'yaml';
import { seedShop, setUpShop, type Shop } from '../../src/cli/example/shop.js';
import { workflowIdOf } from '../../src/contract/ids.js';
import type { RunState, StatusReport } from '../../src/contract/messages.js';
import { findTemporal } from '../../src/temporal/find-temporal.js';
import { startWorkerProcess, type WorkerProcess } from '../crash/worker-process.js';
import { pgUnwind, type Ended } from '../e2e/command-line.js';
import { queryAt } from '../support/postgres.js';
import { untilSeen } from '../support/until.js';

export interface ClusterShopOptions {
  readonly instance: string;
  /** `temporal` of its pg-unwind.yaml; nothing in it speaks of TLS. */
  readonly temporal: Readonly<Record<string, unknown>>;
  /** What workers and commands find in their environment besides: TEMPORAL_*. */
  readonly env: Readonly<Record<string, string>>;
}

/** The example shop, reached by processes alone: workers, `pg-unwind` and the `temporal` command. */
export interface ClusterShop extends Shop {
  /** Another `temporal` for who starts from now on. */
  configure(temporal: Readonly<Record<string, unknown>>): Promise<void>;
  worker(name: string): Promise<WorkerProcess>;
  pgUnwind(...words: string[]): Promise<Ended>;
  /** With these variables over its own. */
  pgUnwindWith(more: Readonly<Record<string, string>>, ...words: string[]): Promise<Ended>;
  /** The Temporal CLI; fails as it does. @returns its standard output. */
  temporal(...words: string[]): Promise<string>;
  status(): Promise<StatusReport>;
  inState(state: RunState): Promise<StatusReport>;
  connect(database: string): Promise<pg.Client>;
  seed(): Promise<void>;
  close(): Promise<void>;
}

const PATIENCE_MS = 90_000;

export async function openClusterShop({ instance, temporal, env }: ClusterShopOptions): Promise<ClusterShop> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-shop-'));
  const { url: superuserUrl, password } = inject('postgres');
  const url = (database: string, role = 'postgres') => {
    const it = new URL(superuserUrl);
    it.pathname = `/${database}`;
    it.username = role;
    return it.href;
  };
  const postgres = { superuserUrl, password, url };
  const shop = await setUpShop({ folder, instance, postgres, temporal: { address: '', namespace: '' } });
  await setTemporal(shop.configFile, temporal);
  const { path: binary } = await findTemporal();
  const workers: WorkerProcess[] = [];
  const nameOf = (database: string) => `${instance.replaceAll('-', '_')}_${database}`;
  const ask = async (...words: string[]) => {
    const { stdout } = await promisify(execFile)(binary, words, {
      env: { ...process.env, ...env },
      timeout: PATIENCE_MS,
    });
    return stdout;
  };
  const command = (more: Readonly<Record<string, string>>, words: readonly string[]) =>
    pgUnwind([...words, '--config', shop.configFile], { ...env, ...more }).ended;
  const run = ['--workflow-id', workflowIdOf(instance)];
  const status = async () => {
    const answer = await ask('workflow', 'query', ...run, '--name', 'status', '--output', 'json');
    return (JSON.parse(answer) as { queryResult: [StatusReport] }).queryResult[0];
  };
  return {
    ...shop,
    configure: (other) => setTemporal(shop.configFile, other),
    async worker(name) {
      const worker = await startWorkerProcess({ name, config: shop.configFile, env });
      workers.push(worker);
      return worker;
    },
    pgUnwind: (...words) => command({}, words),
    pgUnwindWith: (more, ...words) => command(more, words),
    temporal: ask,
    status,
    inState: (state) =>
      untilSeen(status, (seen) => seen.state === state, {
        within: PATIENCE_MS,
        every: 250,
        describe: `the run to be in the state ${state}`,
      }),
    async connect(database) {
      const it = new pg.Client(url(nameOf(database), 'shop'));
      it.on('error', () => undefined); // of a test that failed before it ended it
      await it.connect();
      return it;
    },
    async seed() {
      await seedShop(postgres, shop);
    },
    async close() {
      for (const worker of workers) await worker.stop();
      for (const database of shop.databases) {
        await queryAt(superuserUrl, `drop database if exists ${nameOf(database)} with (force)`);
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function setTemporal(configFile: string, temporal: Readonly<Record<string, unknown>>): Promise<void> {
  const content = parse(await readFile(configFile, 'utf8')) as Record<string, unknown>;
  await writeFile(configFile, stringify({ ...content, temporal }));
}
