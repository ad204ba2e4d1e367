import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { inject } from 'vitest';
import { seedShop, setUpShop, type Shop } from '../../src/cli/example/shop.js';
import { workflowIdOf } from '../../src/contract/ids.js';
import { QueryName, UpdateName, type RunState, type StatusReport } from '../../src/contract/messages.js';
import { until, untilSeen } from '../support/until.js';
import { pgUnwind, stop } from './command-line.js';

/** The example shop at its newest release with a few years of trade, and a real worker for it. */
export interface ExampleShop extends Shop {
  readonly client: Client;
  /** In one of its databases, as the role that owns it. */
  query<Row extends pg.QueryResultRow>(database: string, text: string): Promise<Row[]>;
  connect(database: string): Promise<pg.Client>;
  url(database: string): string;
  inState(state: RunState): Promise<StatusReport>;
  /** Exactly these databases are parked. */
  parkedAt(databases: readonly string[]): Promise<StatusReport>;
  close(): Promise<void>;
}

export interface ExampleShopOptions {
  readonly instance: string;
  readonly temporal: { readonly address: string; readonly namespace: string; readonly taskQueue?: string };
  /** Where it stands instead of at the newest release, then without any trade; null: nowhere, its databases are empty. */
  readonly at?: string | null;
  /** How long a step waits for a lock; the product's default is short. */
  readonly lockTimeoutMs?: number;
}

export async function openExampleShop(options: ExampleShopOptions): Promise<ExampleShop> {
  const { instance, temporal } = options;
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-shop-'));
  const { url: superuserUrl, password } = inject('postgres');
  const url = (database: string, role = 'postgres') => {
    const it = new URL(superuserUrl);
    it.pathname = `/${database}`;
    it.username = role;
    return it.href;
  };
  const postgres = { superuserUrl, password, url };
  const shop = await setUpShop({ folder, instance, postgres, temporal });
  if (options.lockTimeoutMs !== undefined) {
    const config = await readFile(shop.configFile, 'utf8');
    await writeFile(
      shop.configFile,
      config.replace(/^( *)options:\n/m, `$&$1  lockTimeoutMs: ${options.lockTimeoutMs}\n`),
    );
  }
  const worker = pgUnwind(['worker'], { PG_UNWIND_CONFIG: shop.configFile });
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection, namespace: temporal.namespace });
  const nameOf = (database: string) => `${instance.replaceAll('-', '_')}_${database}`;
  const connect = async (database: string) => {
    const it = new pg.Client(url(nameOf(database), 'shop'));
    it.on('error', () => undefined); // of a test that failed before it ended it
    await it.connect();
    return it;
  };
  const status = () => client.workflow.getHandle(workflowIdOf(instance)).query<StatusReport>(QueryName.status);
  const inState = (state: RunState) =>
    untilSeen(status, (shown) => shown.state === state, {
      within: 60_000,
      describe: `the run to be in the state ${state}`,
    });
  const parkedAt = (expected: readonly string[]) =>
    untilSeen(
      status,
      ({ parked }) =>
        parked
          .map(({ database }) => database ?? '')
          .toSorted()
          .join() === expected.join(),
      { within: 60_000, describe: `${expected.join(' and ')} to be parked` },
    );
  await until(() => worker.printed().includes('worker ready'), {
    within: 90_000,
    describe: 'the worker',
    show: () => worker.printed(),
  });
  if (options.at !== null) await fill();

  return {
    ...shop,
    client,
    connect,
    url: (database) => url(nameOf(database), 'shop'),
    inState,
    parkedAt,
    async query<Row extends pg.QueryResultRow>(database: string, text: string) {
      const it = await connect(database);
      try {
        return (await it.query<Row>(text)).rows;
      } finally {
        await it.end();
      }
    },
    async close() {
      await stop(worker);
      await connection.close();
      const server = new pg.Client(superuserUrl);
      await server.connect();
      for (const database of shop.databases) {
        await server.query(`drop database if exists ${nameOf(database)} with (force)`);
      }
      await server.end();
      await rm(folder, { recursive: true, force: true });
    },
  };

  async function fill(): Promise<void> {
    const upgrade = await client.workflow.start('upgrade', {
      taskQueue: temporal.taskQueue ?? 'pg-unwind',
      workflowId: workflowIdOf(instance),
      args: [{ instance, to: options.at ?? shop.newest }],
    });
    const { plan } = await inState('awaitingApproval');
    await upgrade.executeUpdate(UpdateName.approve, { args: [{ plan, by: 'eve', why: 'nothing is in it yet' }] });
    await upgrade.result();
    if (options.at === undefined) await seedShop(postgres, shop);
  }
}
