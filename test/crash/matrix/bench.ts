import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { stringify } from 'yaml';
import { sourcegraphLedger } from '../../../src/journal/ledgers/sourcegraph.js';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../src/postgres/embedded.js';
import { startProxy, type Proxy } from '../../support/wire-proxy.js';
import { startWorkerProcess, type WorkerProcess } from '../worker-process.js';
import {
  BATCH,
  APPLIED,
  compileProduct,
  DATABASES,
  LEDGER_KEYS,
  SETUP,
  SETUP_AS_SUPERUSER,
  type DatabaseName,
} from './product.js';

/** Seconds. The shortest that the configuration takes: what is measured is what comes on top of it. */
export const HEARTBEAT_TIMEOUT = 5;
const SHUTDOWN_GRACE = 2;

const ROLE = 'crash_owner';

export const SERVER_SETTINGS = { max_connections: 600 } as const;

export interface TemporalAddress {
  readonly address: string;
  readonly namespace: string;
}

/** One Postgres with the template databases, and the compiled product: what the rows of one file share. */
export interface Bench {
  /** The server of now: a failover changes it. */
  readonly postgres: EmbeddedPostgres;
  failOver(to: EmbeddedPostgres): void;
  readonly folder: string;
  /** Connection string as the owner. */
  url(database: string): string;
  /** Databases of a new instance at v3.0.0. */
  createInstance(name: string): Promise<InstanceDatabases>;
  dropInstance(databases: InstanceDatabases): Promise<void>;
  close(): Promise<void>;
}

export type InstanceDatabases = Readonly<Record<DatabaseName, string>>;

export async function openBench(options: { dataDir?: string } = {}): Promise<Bench> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-crash-'));
  await chmod(folder, 0o755); // the server's user must get through to its data
  let postgres = await startEmbeddedPostgres({ settings: SERVER_SETTINGS, ...options });
  try {
    await compileProduct(folder);
    await queryAt(postgres.superuserUrl, `create role ${ROLE} login password '${postgres.password}'`);
    for (const database of DATABASES) await makeTemplate(postgres, database);
  } catch (error) {
    await postgres.stop();
    await rm(folder, { recursive: true });
    throw error;
  }
  return {
    get postgres() {
      return postgres;
    },
    failOver(to) {
      postgres = to;
    },
    folder,
    url: (database) => postgres.url(database, ROLE, postgres.password),
    async createInstance(name) {
      const databases = { frontend: `${name}_frontend`, orders: `${name}_orders` };
      for (const database of DATABASES) {
        await queryAt(
          postgres.superuserUrl,
          `create database ${databases[database]} owner ${ROLE} template ${templateOf(database)}`,
        );
      }
      return databases;
    },
    async dropInstance(databases) {
      for (const database of DATABASES) {
        await queryAt(postgres.superuserUrl, `drop database if exists ${databases[database]} with (force)`);
      }
    },
    async close() {
      await postgres.stop();
      await rm(folder, { recursive: true });
    },
  };
}

const templateOf = (database: DatabaseName) => `template_${database}`;

async function makeTemplate(postgres: EmbeddedPostgres, database: DatabaseName): Promise<void> {
  const name = templateOf(database);
  await queryAt(postgres.superuserUrl, `create database ${name} owner ${ROLE} template template0`);
  await withClient(postgres.url(name, ROLE, postgres.password), async (client) => {
    await client.query(SETUP[database]);
    await sourcegraphLedger.create(client, { key: LEDGER_KEYS[database], schema: 'public' });
    for (const id of APPLIED[database]) {
      await client.query(
        `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
         values (2, $1, $2, true, now(), now(), true)`,
        [LEDGER_KEYS[database], id],
      );
    }
  });
  await queryAt(postgres.url(name), SETUP_AS_SUPERUSER[database] || 'select 1');
}

/** A worker with proxies of its own to Postgres and to Temporal. */
export interface Station {
  readonly worker: WorkerProcess;
  readonly postgres: Proxy;
  readonly temporal: Proxy;
  close(): Promise<void>;
}

/** What a row has for itself: a task queue and its instances. */
export interface Site {
  readonly taskQueue: string;
  readonly temporal: TemporalAddress;
  readonly instances: Readonly<Record<string, InstanceDatabases>>;
  readonly client: Client;
  startStation(name: string): Promise<Station>;
  close(): Promise<void>;
}

export async function openSite(
  bench: Bench,
  temporal: TemporalAddress,
  instances: Readonly<Record<string, InstanceDatabases>>,
): Promise<Site> {
  const taskQueue = `crash-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection, namespace: temporal.namespace, identity: 'pg-unwind-crash' });
  const stations: Station[] = [];
  return {
    taskQueue,
    temporal,
    instances,
    client,
    async startStation(name) {
      const station = await startStation(bench, { name, taskQueue, temporal, instances });
      stations.push(station);
      return station;
    },
    async close() {
      await Promise.all(stations.map((station) => station.close()));
      await connection.close();
    },
  };
}

async function startStation(
  bench: Bench,
  {
    name,
    taskQueue,
    temporal,
    instances,
  }: { name: string; taskQueue: string; temporal: TemporalAddress; instances: Site['instances'] },
): Promise<Station> {
  const postgresProxy = await startProxy({ port: bench.postgres.port, wire: true });
  const temporalProxy = await startProxy({ port: Number(temporal.address.split(':')[1]), wire: false });
  const env: Record<string, string> = {};
  const configured = Object.entries(instances).map(([instance, databases]) => [
    instance,
    {
      product: 'crash',
      databases: Object.fromEntries(
        DATABASES.map((database) => {
          const variable = `URL_${databases[database]}`.toUpperCase();
          env[variable] = postgresProxy.url(bench.url(databases[database]));
          return [database, { url: { env: variable } }];
        }),
      ),
      options: {
        heartbeatTimeoutSeconds: HEARTBEAT_TIMEOUT,
        data: { firstBatchRows: BATCH, mostBatchRows: BATCH },
      },
    },
  ]);
  const config = path.join(bench.folder, `${taskQueue}-${name}.yaml`);
  await writeFile(
    config,
    stringify({
      temporal: { address: `127.0.0.1:${temporalProxy.port}`, namespace: temporal.namespace, taskQueue },
      worker: { shutdownGraceSeconds: SHUTDOWN_GRACE, maxConcurrentActivities: 200 },
      products: {
        crash: {
          catalog: 'catalog',
          ledger: { kind: 'sourcegraph' },
          releaseMarker: { kind: 'sourcegraph', database: 'frontend' },
          databases: Object.fromEntries(DATABASES.map((it) => [it, { ledgerKey: LEDGER_KEYS[it] }])),
        },
      },
      instances: Object.fromEntries(configured),
    }),
  );
  try {
    const worker = await startWorkerProcess({ name, config, env });
    return {
      worker,
      postgres: postgresProxy,
      temporal: temporalProxy,
      async close() {
        temporalProxy.stall(false);
        postgresProxy.stall(false);
        postgresProxy.cut(); // whatever still waits there never arrives
        await worker.stop();
        await Promise.all([postgresProxy.close(), temporalProxy.close()]);
      },
    };
  } catch (error) {
    await Promise.all([postgresProxy.close(), temporalProxy.close()]);
    throw error;
  }
}

export async function withClient<T>(connectionString: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString, application_name: 'crash matrix', connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

export async function queryAt<R extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  return withClient(
    url,
    async (client) => (await client.query<R>(text, values.length === 0 ? undefined : values)).rows,
  );
}
