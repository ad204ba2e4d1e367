import pg from 'pg';
import type { TestDatabase } from './postgres.js';
import { until } from './until.js';

/** Class of the advisory locks that a test's scripts wait on: neither ours nor a product's. */
const GATE = 77;

export interface Gate {
  /** What a script says to wait here, in whatever transaction it is. */
  readonly wait: string;
  /** The backend that waits at the gate. */
  waiter(): Promise<number>;
  open(): Promise<void>;
}

/** A place where a script waits until the test lets it pass: an advisory lock held by a session of the test. */
export async function closeGate(database: TestDatabase, number: number): Promise<Gate> {
  const client = await openClient(database);
  await client.query('select pg_advisory_lock($1, $2)', [GATE, number]);
  return {
    wait: waitAt(number),
    waiter: () =>
      until(
        async () => {
          const { rows } = await client.query<{ pid: number }>(
            `select l.pid
               from pg_locks l
              where l.locktype = 'advisory' and l.classid = $1 and l.objid = $2 and not l.granted
                -- pg_locks shows the whole cluster, and another file's test may stand at its own gate of this number
                and l.database = (select d.oid from pg_database d where d.datname = current_database())`,
            [GATE, number],
          );
          return rows[0]?.pid;
        },
        { describe: `a script that waits at gate ${number}` },
      ),
    open: () => client.end(),
  };
}

/** The text alone, for scripts that are staged before their gate exists. */
export function waitAt(number: number): string {
  return `set local lock_timeout = 0; select pg_advisory_xact_lock(${GATE}, ${number});`;
}

/** A session of the test's own, which the caller ends. */
export async function openClient(database: TestDatabase, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: database.url,
    application_name: 'a session of the test',
    ...options,
  });
  client.on('error', () => undefined); // a test may cut it off
  await client.connect();
  return client;
}

/** Ends a session from outside, as a failing server or an operator would, and waits until it is gone. */
export async function terminate(database: TestDatabase, pid: number): Promise<void> {
  await database.asSuperuser('select pg_terminate_backend($1)', [pid]);
  await until(
    async () => (await database.asSuperuser('select from pg_stat_activity where pid = $1', [pid])).length === 0,
    {
      describe: `process ${pid} to be gone`,
    },
  );
}
