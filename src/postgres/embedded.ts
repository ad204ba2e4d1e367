import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import getPort from 'get-port';
import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import { startOwnedProcess, type OwnedProcess, type StopLadder } from '../process/owned-process.js';
import {
  isReachable,
  locateBinaries,
  makeTemporaryFolder,
  PACKAGED_MAJOR,
  whomToRunAs,
  type PostgresMajor,
  type RunAs,
} from './embedded-binaries.js';

export interface EmbeddedPostgresOptions {
  /** 18 comes with the package; 14 to 17 once `npm run test:majors` has installed them. */
  readonly major?: PostgresMajor;
  /** A folder with bin/, lib/ and share/ of a Postgres; also PG_UNWIND_POSTGRES_DIR. */
  readonly binariesDir?: string;
  /** Kept after `stop()` and used again by the next start; without it a temporary folder is used and removed. */
  readonly dataDir?: string;
  /** Exactly this port, or an error; without it a free one. */
  readonly port?: number;
  /** Over FAST. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly log?: (line: string) => void;
}

/** A Postgres server of our own on 127.0.0.1: for `pg-unwind demo`, `dev`, tests and benchmarks, never for data that matters. */
export interface EmbeddedPostgres {
  readonly port: number;
  /** Of the superuser; also the password that a test may give to the roles it makes, so that `url` knows it. */
  readonly password: string;
  /** Database `postgres`, as superuser. */
  readonly superuserUrl: string;
  url(database: string, role?: string, password?: string): string;
  /** "18.4" */
  readonly version: string;
  readonly dataDir: string;
  /** Of the postmaster; another one after `start()`. */
  readonly pid: number;
  readonly running: boolean;
  /** Immediate shutdown (SIGQUIT): no checkpoint, clients are cut off, the next `start()` recovers from the WAL. */
  crash(): Promise<void>;
  /** Starts again after `crash()` or `halt()`, on the same port. */
  start(): Promise<void>;
  /** Fast shutdown (SIGINT); the data stays. */
  halt(): Promise<void>;
  /** `halt()`, and the temporary data directory is removed. Safe to call twice. */
  stop(): Promise<void>;
}

const SUPERUSER = 'postgres';

/**
 * Nothing survives a power cut here, and nothing has to. What is committed does survive `crash()`: with synchronous_commit off it would
 * not, and without fsync a commit costs one write to the page cache either way. `replica`, so that a standby can be made of it.
 */
const FAST = {
  fsync: 'off',
  synchronous_commit: 'on',
  full_page_writes: 'off',
  max_connections: 200,
  shared_buffers: '128MB',
  max_prepared_transactions: 10,
  wal_level: 'replica',
  max_wal_size: '2GB',
  autovacuum_naptime: '10min',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'warning',
  log_statement: 'none',
} as const;

const STOP_LADDER: StopLadder = [
  ['INT', 15], // fast: clients are cut off, a checkpoint is written
  ['QUIT', 10], // immediate
  ['KILL', 5],
];
const READY_WITHIN_MS = 60_000;
const PORT_ATTEMPTS = 4;

/**
 * Makes a cluster (unless `dataDir` holds one) and starts it. The binaries of the package are driven directly: its wrapper
 * class cannot stop a server whose parent was killed, runs as root only after making a system user, and logs to the console.
 * Only 127.0.0.1 is listened on, there is no Unix socket, and a random password (scram) keeps other users of the machine out:
 * `trust` would make every one of them a superuser, who may run programs as us.
 * @throws {UnwindError} InvalidConfig (no binaries, a folder that cannot be used) or DatabaseUnreachable (it did not start; carries its last lines).
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const runAs = whomToRunAs();
  const native = await locateBinaries(options.major ?? PACKAGED_MAJOR, options.binariesDir, runAs);
  const folder = options.dataDir ? path.resolve(options.dataDir) : makeTemporaryFolder(runAs);
  const temporary = options.dataDir === undefined;

  let server: OwnedProcess | null = null;
  let port = options.port ?? 0;
  let version = '';
  let password = '';

  const url = (database: string, role = SUPERUSER, secret = password) =>
    `postgres://${encodeURIComponent(role)}:${encodeURIComponent(secret)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;

  async function start(): Promise<void> {
    if (server?.end() === null) return;
    const fixed = port !== 0;
    for (let attempt = 1; ; attempt += 1) {
      if (!fixed) port = await getPort({ host: '127.0.0.1' });
      server = launch();
      const outcome = await untilReady(server, () => url('postgres')).catch(async (error: unknown) => {
        await server?.stop();
        throw error;
      });
      if (outcome.kind === 'ready') {
        version = outcome.version;
        return;
      }
      const lostPort = outcome.lines.some((line) => line.includes('could not bind') || line.includes('in use'));
      if (lostPort && !fixed && attempt < PORT_ATTEMPTS) continue;
      throw new UnwindError(
        FailureType.DatabaseUnreachable,
        `The embedded Postgres on port ${port} did not start (${outcome.how}). ` +
          (lostPort ? 'The port is taken: free it, or name another one. ' : '') +
          `Its last lines: ${outcome.lines.slice(-8).join(' | ') || 'none'}`,
      );
    }
  }

  function launch(): OwnedProcess {
    const settings = { ...FAST, ...options.settings, listen_addresses: '127.0.0.1', unix_socket_directories: '', port };
    return startOwnedProcess({
      command: path.join(native, 'bin', 'postgres'),
      args: [
        '-D',
        clusterIn(folder),
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      env: cleanEnvironment(),
      ...(runAs ? { runAs } : {}),
      stopWith: STOP_LADDER,
      ...(temporary ? { removeWithOwner: folder } : {}),
      ...(options.log ? { log: options.log } : {}),
    });
  }

  async function stop(): Promise<void> {
    await server?.stop();
    if (temporary) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }

  try {
    password = await makeCluster(native, folder, runAs);
    await start();
  } catch (error) {
    await stop();
    throw error;
  }

  return Object.freeze({
    get port() {
      return port;
    },
    get password() {
      return password;
    },
    get superuserUrl() {
      return url('postgres');
    },
    url,
    get version() {
      return version;
    },
    dataDir: clusterIn(folder),
    get pid() {
      return server?.pid ?? -1;
    },
    get running() {
      return server?.end() === null;
    },
    async crash() {
      server?.signal('SIGQUIT');
      await server?.ended;
    },
    start,
    halt: async () => server?.stop(),
    stop,
  });
}

/** The caller's folder holds the cluster and, beside it, the password that a later start needs. */
function clusterIn(folder: string): string {
  return path.join(folder, 'cluster');
}

/** Runs initdb unless the folder holds a cluster; returns the superuser's password. */
async function makeCluster(native: string, folder: string, runAs: RunAs): Promise<string> {
  const cluster = clusterIn(folder);
  const passwordFile = path.join(folder, 'password');
  if (existsSync(path.join(cluster, 'PG_VERSION')) && existsSync(passwordFile)) {
    return readFileSync(passwordFile, 'utf8').trim();
  }

  mkdirSync(folder, { recursive: true });
  if (runAs) {
    chownSync(folder, runAs.uid, runAs.gid);
    chmodSync(folder, 0o755); // for isReachable; the cluster inside is 0700
    if (!isReachable(folder, runAs)) {
      throw new UnwindError(
        FailureType.InvalidConfig,
        `Postgres does not run as root, and the user "nobody" cannot reach ${folder}: a folder above it is closed to others. ` +
          'Nothing was started. Name a data directory that all may enter, or run this as an ordinary user.',
      );
    }
  }
  const password = randomBytes(18).toString('base64url');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (runAs) chownSync(passwordFile, runAs.uid, runAs.gid);

  const args = ['-D', cluster, '-U', SUPERUSER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  args.push('--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions');
  try {
    await promisify(execFile)(path.join(native, 'bin', 'initdb'), args, {
      env: cleanEnvironment(),
      cwd: '/',
      ...runAs,
    });
  } catch (cause) {
    const said = String((cause as { stderr?: string }).stderr ?? '').trim();
    throw new UnwindError(
      FailureType.InvalidConfig,
      `initdb could not make a cluster in ${cluster}. It said: ${said.split('\n').slice(-5).join(' | ') || String(cause)}`,
      { cause },
    );
  }
  return password;
}

/** Neither PGDATA, PGPORT and their kin nor our secrets reach the server; its messages are in English whatever the locale. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

type Readiness =
  | { readonly kind: 'ready'; readonly version: string }
  | { readonly kind: 'ended'; readonly how: string; readonly lines: readonly string[] };

/** Ready is what a client sees. The password tells our server from another one that won the port. */
async function untilReady(server: OwnedProcess, url: () => string): Promise<Readiness> {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const how = server.end();
    if (how !== null) {
      await server.ended;
      return { kind: 'ended', how, lines: server.lastLines() };
    }
    try {
      return { kind: 'ready', version: await askVersion(url()) };
    } catch (error) {
      if (Date.now() > deadline) {
        return {
          kind: 'ended',
          how: `not ready after ${READY_WITHIN_MS / 1000} s: ${String(error)}`,
          lines: server.lastLines(),
        };
      }
    }
    await sleep(20);
  }
}

async function askVersion(connectionString: string): Promise<string> {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: 2_000,
    application_name: 'pg-unwind embedded',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string }>(
      "-- pg-unwind embedded.version\nselect current_setting('server_version') as version",
    );
    return rows[0]?.version ?? '';
  } finally {
    await client.end().catch(() => undefined);
  }
}
