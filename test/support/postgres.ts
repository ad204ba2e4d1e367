import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { expect, inject } from 'vitest';
import { until } from './until.js';

export interface TestDatabase {
  readonly name: string;
  /** An ordinary role (no superuser, no createdb), made with the database and owning it. */
  readonly role: string;
  /** As the owner. */
  readonly url: string;
  /** The same database as superuser. */
  readonly superuserUrl: string;
  urlAs(role: string): string;
  /** One statement (or several, without values) as the owner, on a connection of its own. */
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  /** The same as superuser. */
  asSuperuser<R extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  /** Cuts off who is left and removes the database and the roles made for it. */
  drop(): Promise<void>;
}

/** "postgres://…/postgres" of the server that test/support/global-setup.ts started. */
export function serverUrl(): string {
  return inject('postgres').url;
}

export function serverMajor(): number {
  return Number.parseInt(inject('postgres').version, 10);
}

/**
 * A database of its own, owned by an ordinary role of its own. With `template` a copy of that database, whose tables
 * then belong to whoever owned them there: make the template as the same `owner`.
 */
export async function createDatabase(options: { template?: string; owner?: string } = {}): Promise<TestDatabase> {
  const name = `t_${randomBytes(6).toString('hex')}`;
  const role = options.owner ?? `${name}_owner`;
  const password = inject('postgres').password;
  if (!options.owner) await onServer(`create role ${role} login password '${password}'`);
  await onServer(
    `create database ${name} owner ${role}` +
      (options.template ? ` template ${pg.escapeIdentifier(options.template)}` : ` template template0`),
  );
  const urlAs = (user: string) => urlOf(name, user, password);
  const superuserUrl = urlOf(name);
  return {
    name,
    role,
    url: urlAs(role),
    superuserUrl,
    urlAs,
    query: (text, values) => queryAt(urlAs(role), text, values),
    asSuperuser: (text, values) => queryAt(superuserUrl, text, values),
    async drop() {
      await onServer(`drop database if exists ${name} with (force)`);
      if (options.owner) return;
      // what the role was given elsewhere in the cluster would hold it back
      await onServer(`drop owned by ${role}`);
      await onServer(`drop role ${role}`);
    },
  };
}

/** Marks a database as a template: no session may stay on it, or `create database` waits five seconds and gives up (55006). */
export async function asTemplate(database: TestDatabase): Promise<string> {
  await onServer(`alter database ${database.name} with is_template true allow_connections false`);
  return database.name;
}

export async function dropTemplate(database: TestDatabase): Promise<void> {
  await onServer(`alter database ${database.name} with is_template false allow_connections true`);
  await database.drop();
}

/** Another ordinary role that may log in, with what `grants` gives it; its name. Removed by the caller's `drop` of the role. */
export async function createRole(database: TestDatabase, suffix: string, attributes = ''): Promise<string> {
  const role = `${database.name}_${suffix}`;
  await onServer(`create role ${role} login ${attributes} password '${inject('postgres').password}'`);
  return role;
}

export async function dropRole(database: TestDatabase, role: string): Promise<void> {
  await database.asSuperuser(`drop owned by ${role}`);
  await onServer(`drop owned by ${role}`);
  await onServer(`drop role ${role}`);
}

/** Runs `work` on a connection as that role and closes it. */
export async function asRole<T>(
  database: TestDatabase,
  role: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  return withClient(database.urlAs(role), work);
}

export async function withClient<T>(connectionString: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString, application_name: 'pg-unwind test' });
  client.on('error', () => undefined); // a test may cut us off; the query under way reports it
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
  values?: unknown[],
): Promise<R[]> {
  return withClient(url, async (client) => {
    const result = await client.query<R>(text, values as never);
    return result.rows;
  });
}

/** For a query's `where`: pg_locks shows the whole cluster, where other files' tests lock too. By the process: a wait for another's
 * transaction names no database. */
export const IN_THIS_DATABASE = `pid in (select pid from pg_stat_activity where datname = current_database())`;

const LEAKS = `-- pg-unwind test leaks
select a.application_name, a.pid, a.state, left(a.query, 200) as query,
       a.xact_start is not null as in_transaction,
       exists (select 1 from pg_locks l where l.pid = a.pid and l.locktype = 'advisory') as holds_advisory_lock
  from pg_stat_activity a
 where a.datname = $1
   and a.backend_type = 'client backend'
   and a.pid <> pg_backend_pid()
   and (a.application_name like 'pgu%'
        or a.xact_start is not null
        or exists (select 1 from pg_locks l where l.pid = a.pid and l.locktype = 'advisory'))`;

const PREPARED = `select gid from pg_prepared_xacts where database = $1`;

/**
 * For `afterEach`: nothing of ours is left on the database (advisory lock, open or prepared transaction, session whose application_name begins
 * with "pgu"). Looks again for a second: a backend that was told to end needs a moment to do so.
 */
export async function expectNoLeaks(database: TestDatabase | string): Promise<void> {
  const name = typeof database === 'string' ? database : database.name;
  await withClient(serverUrl(), async (client) => {
    let left: unknown[] = [];
    await until(
      async () => {
        const sessions = await client.query(LEAKS, [name]);
        const prepared = await client.query(PREPARED, [name]);
        left = [...sessions.rows, ...prepared.rows];
        return left.length === 0;
      },
      { within: 1_000, describe: 'no leak' },
    ).catch(() => undefined);
    expect(left, `sessions, locks or transactions left on ${name}`).toEqual([]);
  });
}

async function onServer(statement: string): Promise<void> {
  await queryAt(serverUrl(), statement);
}

function urlOf(database: string, role?: string, password?: string): string {
  const url = new URL(serverUrl());
  url.pathname = `/${database}`;
  if (role !== undefined) url.username = role;
  if (password !== undefined) url.password = password;
  return url.href;
}
