import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import getPort, { portNumbers } from 'get-port';
import { inject } from 'vitest';
import { startOwnedProcess, type OwnedProcess } from '../../src/process/owned-process.js';
import { resolveTarget } from '../../src/temporal/connection.js';
import { repository } from '../support/shared.js';
import { queryAt } from '../support/postgres.js';
import { until } from '../support/until.js';
import { makeCertificates, SERVER_NAME, type Certificates } from './certificates.js';

/**
 * The server as it runs in production, all services in one process: on PostgreSQL, with mutual TLS before it and between its
 * services. Everything listens on 127.0.0.1.
 */
export interface TemporalCluster {
  readonly address: string;
  readonly certificates: Certificates;
  readonly folder: string;
  /** TEMPORAL_* variables of a client that is let in. */
  readonly env: Readonly<Record<string, string>>;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  /** On the same ports, with what it knew. */
  start(): Promise<void>;
  /** Its last lines. */
  log(): string;
  /** Safe to call twice. */
  close(): Promise<void>;
}

const SERVICES = ['FRONTEND', 'HISTORY', 'MATCHING', 'WORKER'] as const;
const READY_WITHIN_MS = 90_000;

export async function openTemporalCluster(): Promise<TemporalCluster> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-cluster-'));
  const certificates = await makeCertificates(path.join(folder, 'certificates'));
  const databases = await createStores();
  const ports = await freePorts();
  const address = `127.0.0.1:${ports['FRONTEND_GRPC_PORT']}`;
  const env = {
    TEMPORAL_ADDRESS: address,
    TEMPORAL_TLS_CLIENT_CERT_PATH: certificates.client.cert,
    TEMPORAL_TLS_CLIENT_KEY_PATH: certificates.client.key,
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: certificates.ca.cert,
    TEMPORAL_TLS_SERVER_NAME: SERVER_NAME,
  };
  let server: OwnedProcess | null = null;
  const lines: string[] = [];
  const tail = () =>
    lines
      .slice(-8)
      .map((line) => line.slice(0, 300))
      .join('\n');
  const cluster: TemporalCluster = {
    address,
    certificates,
    folder,
    env,
    log: tail,
    async kill() {
      server?.signal('SIGKILL');
      await server?.ended;
    },
    async start() {
      const started = (server = startOwnedProcess({
        command: path.join(binaries(), 'server'),
        args: ['--allow-no-auth', 'start'],
        env: { ...serverEnvironment(databases, certificates), ...ports },
        stopWith: [
          ['TERM', 20],
          ['KILL', 5],
        ],
        log: (line) => void lines.push(line),
      }));
      const found = await until(async () => started.end() ?? ((await answers(env)) && 'serves'), {
        within: READY_WITHIN_MS,
        every: 100,
        describe: 'the Temporal server to serve',
      });
      if (found !== 'serves') throw new Error(`The Temporal server ended (${found}): ${tail()}`);
    },
    async close() {
      await server?.stop();
      for (const database of Object.values(databases)) {
        await queryAt(inject('postgres').url, `drop database if exists ${database} with (force)`);
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
  await cluster.start().catch(async (error: unknown) => {
    await cluster.close();
    throw error;
  });
  return cluster;
}

interface Stores {
  readonly main: string;
  readonly visibility: string;
}

/** Two databases with the schemas that the server's own tool brings along. */
async function createStores(): Promise<Stores> {
  const name = `temporal_${randomBytes(4).toString('hex')}`;
  const stores = { main: name, visibility: `${name}_visibility` };
  const { hostname, port, username, password } = new URL(inject('postgres').url);
  const tool = (database: string, ...args: string[]) =>
    promisify(execFile)(
      path.join(binaries(), 'sql'),
      ['--plugin', 'postgres12', '--ep', hostname, '-p', port, '-u', username, '--db', database, ...args],
      { env: { SQL_PASSWORD: decodeURIComponent(password) } },
    );
  for (const [database, schema] of [
    [stores.main, 'postgresql/v12/temporal'],
    [stores.visibility, 'postgresql/v12/visibility'],
  ] as const) {
    await tool(database, 'create');
    await tool(database, 'setup-schema', '-v', '0.0');
    await tool(database, 'update-schema', '--schema-name', schema);
  }
  return stores;
}

/** What the server's built-in configuration reads. */
function serverEnvironment(stores: Stores, { ca, server }: Certificates): NodeJS.ProcessEnv {
  const { hostname, port, username, password } = new URL(inject('postgres').url);
  return {
    DB: 'postgres12',
    POSTGRES_SEEDS: hostname,
    DB_PORT: port,
    POSTGRES_USER: username,
    POSTGRES_PWD: decodeURIComponent(password),
    DBNAME: stores.main,
    VISIBILITY_DBNAME: stores.visibility,
    NUM_HISTORY_SHARDS: '4',
    BIND_ON_IP: '127.0.0.1',
    DYNAMIC_CONFIG_FILE_PATH: path.join(repository, 'deploy', 'temporal-dynamic-config.yaml'),
    LOG_LEVEL: 'error',
    TEMPORAL_TLS_REQUIRE_CLIENT_AUTH: 'true',
    TEMPORAL_TLS_SERVER_CERT: server.cert,
    TEMPORAL_TLS_SERVER_KEY: server.key,
    TEMPORAL_TLS_SERVER_CA_CERT: ca.cert,
    TEMPORAL_TLS_INTERNODE_SERVER_NAME: SERVER_NAME,
    TEMPORAL_TLS_FRONTEND_CERT: server.cert,
    TEMPORAL_TLS_FRONTEND_KEY: server.key,
    TEMPORAL_TLS_FRONTEND_SERVER_NAME: SERVER_NAME,
    TEMPORAL_TLS_CLIENT1_CA_CERT: ca.cert,
    TEMPORAL_TLS_CLIENT2_CA_CERT: ca.cert, // the server refuses an empty second one
  };
}

/** Below 32768: the server notes them as `smallint`. A stretch drawn at random, so that two test runs do not reach for the same. */
async function freePorts(): Promise<Record<string, string>> {
  const from = 10_000 + 100 * randomInt(200);
  const names = [...SERVICES.flatMap((it) => [`${it}_GRPC_PORT`, `${it}_MEMBERSHIP_PORT`]), 'FRONTEND_HTTP_PORT'];
  const ports: [string, string][] = [];
  for (const name of names) {
    const port = await getPort({ host: '127.0.0.1', port: portNumbers(from, from + 99) });
    ports.push([name, String(port)]);
  }
  return Object.fromEntries(ports);
}

async function answers(env: Readonly<Record<string, string>>): Promise<boolean> {
  const { address, connectionOptions } = resolveTarget({}, { env });
  const connection = await Connection.connect({ ...(connectionOptions as object), address, connectTimeout: 1_000 });
  try {
    // The namespace that the server makes for itself: the stores, and the services behind the frontend, are there.
    await connection.withDeadline(Date.now() + 2_000, () =>
      connection.workflowService.describeNamespace({ namespace: 'temporal-system' }),
    );
    return true;
  } finally {
    await connection.close();
  }
}

function binaries(): string {
  const folder = process.env['PG_UNWIND_TEMPORAL_SERVER'];
  if (!folder) throw new Error('There is no Temporal server to test with: "npm run test:cluster" builds one.');
  return folder;
}
