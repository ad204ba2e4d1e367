import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import {
  setStatements,
  settingsOf,
  splitOptions,
  startupOptions,
  TRANSACTION_TIMEOUT_SINCE,
} from './session-options.js';
import { kindOf, sqlstateOf } from './sqlstate.js';
import { within } from './within.js';

/** Name of a session that is between two steps. A step's session is called `pgu:<token>:<attempt>:<seq>` (see fence.ts). */
export const IDLE_NAME = 'pg-unwind';

export interface SessionSettings {
  /** 0: no limit. What a longer statement has done is rolled back, and the step parks. Milliseconds. */
  readonly statementTimeoutMs: number;
  /** Waiting for a relation lock: others queue behind us no longer than this. Milliseconds. */
  readonly lockTimeoutMs: number;
  /** The server ends a session that sits in a transaction this long: a frozen worker gives its locks back. */
  readonly idleInTransactionMs: number;
  /** How often the server looks whether we are still there while a statement runs. Milliseconds; 0: never. */
  readonly connectionCheckMs: number;
  readonly connectTimeoutMs: number;
  /**
   * A query of ours that has no answer after this time counts as lost, and its session with it: a path that swallows packets
   * says nothing for a quarter of an hour and more. Not for a script's own message, which may take as long as it takes
   * (step/watch.ts looks after that). All others take milliseconds, and wait for a lock no longer than lockTimeoutMs.
   */
  readonly queryTimeoutMs: number;
}

export const DEFAULT_SETTINGS: SessionSettings = {
  statementTimeoutMs: 0,
  lockTimeoutMs: 1_500,
  idleInTransactionMs: 60_000,
  connectionCheckMs: 2_000,
  connectTimeoutMs: 10_000,
  queryTimeoutMs: 30_000,
};

/** One pinned connection. Whoever opened it closes it. */
export interface Session {
  readonly client: pg.Client;
  /** `server_version_num`, e.g. 180004. */
  readonly version: number;
  /** pg_backend_pid() as seen when the session began: not the handshake's when a pooler stands between. */
  readonly pid: number;
  /** As Postgres prints it; with the pid it names this backend for ever, for a pid comes back. */
  readonly backendStart: string;
  /** A pooler stands between: the handshake named another process. */
  readonly pooled: boolean;
  /** The socket is gone; nothing more can be asked of this session. */
  isLost(): boolean;
  /** An answer is still owed: of a query that was given up, say. Whoever asked next would wait behind it. */
  isBusy(): boolean;
  /**
   * After an error the server rolls back and gives the locks back, and only then is ready again; node-postgres hands the error
   * out at once. Whoever tries the locks next would find them held. Settles when the server is ready, or gone; at once when no
   * error of its own is under way.
   */
  rolledBack(): Promise<void>;
  /** What the server has sent in all: as long as it grows, the line is alive. */
  bytesRead(): number;
  /** Back to the state that the startup options gave it. Not inside a transaction. */
  reset(): Promise<void>;
  /** Ends the session in good order; for one that is idle. */
  close(): Promise<void>;
  /** Cuts the socket at once. The server ends the session when it notices; what it was doing rolls back or completes. */
  destroy(): void;
}

/**
 * @throws {UnwindError} DatabaseUnreachable (retryable), InsufficientPrivileges for a refused login, TransactionPooler.
 *   Nothing of the connection string is in the message but host, port, database and user.
 */
export async function openSession(url: string, settings: SessionSettings = DEFAULT_SETTINGS): Promise<Session> {
  const wanted = settingsOf(settings);
  const known = serverMajor.get(describeTarget(url));
  const options = startupOptions(wanted, known);
  let client = await connect(url, settings, options).catch((error: unknown) => {
    // A pooler that does not know the parameter refuses the connection as a whole: set the values after connecting.
    if (isRefusedOption(error)) return null;
    throw unreachable(url, error);
  });
  let bySet = false;
  if (client === null) {
    client = await connect(url, settings, undefined).catch((error: unknown) => {
      throw unreachable(url, error);
    });
    bySet = true;
  }
  try {
    const { rows } = await client.query<Identity>(IDENTIFY);
    const { pid, backendStart, version } = rows[0] as Identity;
    if (!known) {
      serverMajor.set(describeTarget(url), version);
      if (!bySet && version >= TRANSACTION_TIMEOUT_SINCE) {
        // The option is known to newer servers only, and only now do we know that this is one.
        await leave(client);
        return await openSession(url, settings);
      }
    }
    const pooled = pid !== handshakePid(client);
    if (pooled) await refuseTransactionPooling(url, client, pid, settings);
    if (bySet) await client.query(setStatements(wanted, version));
    const afterReset = bySet ? setStatements(wanted, version) : null;
    return sessionOf(client, { pid, backendStart, version, pooled, afterReset });
  } catch (error) {
    await leave(client);
    throw error instanceof UnwindError ? error : unreachable(url, error);
  }
}

const IDENTIFY = `-- pg-unwind session.identify
select pg_backend_pid() as pid, current_setting('server_version_num')::integer as version,
       to_jsonb(a.backend_start) #>> '{}' as "backendStart"
  from pg_stat_get_activity(pg_backend_pid()) a`;

interface Identity {
  readonly pid: number;
  readonly version: number;
  readonly backendStart: string;
}

/** Server version by target (never the connection string: it may hold a password), learnt from its first session. */
const serverMajor = new Map<string, number>();

async function connect(url: string, settings: SessionSettings, options: string | undefined): Promise<pg.Client> {
  const own = splitOptions(url);
  const all = [own.options, options].filter((part) => part !== undefined && part !== '').join(' ');
  const client = new pg.Client({
    connectionString: own.url,
    application_name: IDLE_NAME,
    keepAlive: true,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    query_timeout: settings.queryTimeoutMs,
    ...(all === '' ? {} : { options: all }),
  });
  client.on('error', () => undefined); // an idle socket that breaks: the next query says so
  await client.connect();
  return client;
}

/**
 * What DISCARD ALL does (PostgreSQL manual, "DISCARD"), without DISCARD PLANS: plans are checked against catalogs and
 * search_path at each use anyway, and planning the functions of the journal anew cost each step 4 ms (begin 1.4 instead of
 * 0.5, end 0.8 instead of 0.4, a quiet check 4.0 instead of 1.1, a counted one 8.8 instead of 4.2 at 1,800 relations).
 */
const RESET = `-- pg-unwind session.reset
close all; set session authorization default; reset all; deallocate all; unlisten *; select pg_advisory_unlock_all();
discard temp; discard sequences`;

function sessionOf(
  client: pg.Client,
  facts: { pid: number; backendStart: string; version: number; pooled: boolean; afterReset: string | null },
): Session {
  let lost = false;
  client.on('error', () => {
    lost = true;
  });
  client.on('end', () => {
    lost = true;
  });
  // I: idle, T: in a transaction, E: in a failed one. node-postgres keeps it to itself.
  let transaction = 'I';
  const wire = (client as unknown as { connection: NodeJS.EventEmitter }).connection;
  let rollingBack = false;
  wire.on('errorMessage', () => {
    rollingBack = true;
  });
  wire.on('readyForQuery', (message: { status: string }) => {
    transaction = message.status;
    rollingBack = false;
  });
  const { stream } = wire as unknown as { stream: Duplex & { bytesRead: number } };
  return {
    client,
    pid: facts.pid,
    backendStart: facts.backendStart,
    version: facts.version,
    pooled: facts.pooled,
    isLost: () => lost,
    isBusy: () => !(client as unknown as { readyForQuery: boolean }).readyForQuery,
    async rolledBack() {
      if (!rollingBack || lost) return;
      const waiting = new AbortController();
      const { signal } = waiting;
      const ready = Promise.race([once(wire, 'readyForQuery', { signal }), once(wire, 'end', { signal })]);
      await within(ROLLBACK_MS, ready, () => undefined).catch(() => undefined);
      waiting.abort();
    },
    bytesRead: () => stream.bytesRead,
    async reset() {
      // DISCARD ALL refuses this by itself; its parts would be undone by the rollback that ends such a transaction.
      if (transaction !== 'I') throw new Error('a session in a transaction cannot be reset; it is ended instead');
      await client.query(RESET);
      if (facts.afterReset !== null) await client.query(facts.afterReset);
    },
    async close() {
      lost = true;
      await leave(client);
    },
    destroy() {
      lost = true;
      cut(client);
    },
  };
}

/** A rollback takes a moment however much it undoes: PostgreSQL only leaves it behind. */
const ROLLBACK_MS = 1_000;

/** The server closes the line when it is told good-bye; one that does not answer is not waited for. */
const GOODBYE_MS = 1_000;

async function leave(client: pg.Client): Promise<void> {
  await within(GOODBYE_MS, client.end(), () => undefined).catch(() => cut(client));
}

function cut(client: pg.Client): void {
  (client as unknown as { connection: { stream: Duplex } }).connection.stream.destroy();
}

function handshakePid(client: pg.Client): number | null {
  return (client as unknown as { processID: number | null }).processID;
}

/**
 * A pooler in session mode gives one backend for the session's life: harmless. In transaction mode the backend changes as
 * soon as another client holds ours: while a second connection sits in a transaction, does our pid change?
 */
async function refuseTransactionPooling(
  url: string,
  client: pg.Client,
  pid: number,
  settings: SessionSettings,
): Promise<void> {
  const second = await connect(url, settings, undefined);
  try {
    await second.query('begin');
    await second.query('select 1');
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const { rows: others } = await second.query<{ pid: number }>('select pg_backend_pid() as pid');
    if (rows[0]?.pid === pid && others[0]?.pid !== pid) return;
  } finally {
    await leave(second);
  }
  throw new UnwindError(
    FailureType.TransactionPooler,
    `Between this worker and ${describeTarget(url)} stands a connection pooler that hands each transaction to another server ` +
      'session. Session locks and settings would mean nothing there. Nothing was changed. Give the instance a connection that ' +
      'goes to the server itself, or through a pool in session mode.',
  );
}

/** FATAL 08P01 "unsupported startup parameter" (pgbouncer), 42704 or 22023 from a server that does not know a setting. */
function isRefusedOption(error: unknown): boolean {
  const sqlstate = sqlstateOf(error);
  const message = error instanceof Error ? error.message : '';
  return (
    (sqlstate === '08P01' && message.includes('startup parameter')) ||
    sqlstate === '42704' ||
    sqlstate === '22023' ||
    (sqlstate === null && message.includes('startup parameter'))
  );
}

/** Host, port, database and user: what a person needs to find the server, and no more. */
export function describeTarget(url: string): string {
  try {
    const parsed = new URL(url);
    const database = decodeURIComponent(parsed.pathname.slice(1));
    return `database "${database}" at ${parsed.hostname}:${parsed.port || '5432'} as ${decodeURIComponent(parsed.username)}`;
  } catch {
    return 'the database';
  }
}

const TOO_MANY_CONNECTIONS = '53300';

function unreachable(url: string, error: unknown): UnwindError {
  const sqlstate = sqlstateOf(error);
  const kind = kindOf(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : null;
  const reason = sqlstate === null ? (code ?? firstLine(error)) : `SQLSTATE ${sqlstate}, ${firstLine(error)}`;
  if (kind === 'permission') {
    return new UnwindError(
      FailureType.InsufficientPrivileges,
      `${describeTarget(url)} refuses the login (${reason}). Nothing was changed. Correct the connection reference, then retry.`,
      { details: { sqlstate } },
    );
  }
  if (sqlstate === TOO_MANY_CONNECTIONS) {
    return new UnwindError(
      FailureType.DatabaseUnreachable,
      `${describeTarget(url)} has no connection left for us (${reason}). Nothing was changed by this attempt. Trying again: end sessions ` +
        'that nobody needs, or raise the limit (max_connections of the server, the connection limit of the role or the database).',
      { details: { sqlstate } },
    );
  }
  return new UnwindError(
    FailureType.DatabaseUnreachable,
    `${describeTarget(url)} cannot be reached (${reason}). Nothing was changed by this attempt. ` +
      'Check that the server runs and that the worker may connect to it.',
    { details: { sqlstate }, cause: undefined },
  );
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  // An AggregateError of node's happy eyeballs has no message of its own.
  const inner = error instanceof AggregateError ? (error.errors[0] as Error | undefined)?.message : undefined;
  return (inner ?? text).split('\n', 1)[0] ?? '';
}
