import type pg from 'pg';
import { UnwindError } from '../contract/errors.js';
import type { SessionPool } from '../postgres/session-pool.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import { dirty } from './failures.js';
import { reasonOf } from './reasons.js';

/** read_only_sql_transaction: our sessions switch the default off, so the server itself is one that cannot be written. */
const READ_ONLY = '25006';

const STANDING = `-- pg-unwind server.standing
select pg_is_in_recovery() as recovery,
       (select s.system_identifier from pg_control_system() s) || '/' || (select d.oid from pg_database d where d.datname = current_database()) as server`;

interface Standing {
  readonly recovery: boolean;
  readonly server: string;
}

async function standingOf(client: pg.ClientBase): Promise<Standing> {
  return (await client.query<Standing>(STANDING)).rows[0] as Standing;
}

/**
 * Is this the cluster and database that the run was planned on?
 * @param planned `<system identifier>/<database oid>` of that time. @param found the same of now.
 * @throws {UnwindError} DirtyDatabase, `wrongServer`.
 */
export function expectServer(database: string, planned: string, found: string): void {
  if (found === planned) return;
  const [thereCluster, thereOid] = planned.split('/');
  const [hereCluster, hereOid] = found.split('/');
  const data =
    hereCluster === thereCluster
      ? { kind: 'database', found: hereOid, seen: thereOid }
      : { kind: 'identifier', found: hereCluster, seen: thereCluster };
  throw dirty(database, [reasonOf({ code: 'wrongServer', data }, database)]);
}

/** `work`; where it finds no journal of the run, the first question is whether this is the right server at all. */
export async function onPlannedServer<T>(
  sessions: SessionPool,
  database: string,
  planned: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (planned !== undefined && error instanceof UnwindError && error.type === 'JournalIncomplete') {
      const found = await sessions.withSession(({ client }) => standingOf(client)).catch(() => null);
      if (found !== null) expectServer(database, planned, found.server);
    }
    throw error;
  }
}

/** What a refused write means, when the server is in recovery; null otherwise. */
export async function standbyBehind(
  error: unknown,
  sessions: SessionPool,
  database: string,
): Promise<UnwindError | null> {
  const sqlstate = error instanceof UnwindError ? error.details['sqlstate'] : sqlstateOf(error);
  if (sqlstate !== READ_ONLY) return null;
  const standing = await sessions.withSession(({ client }) => standingOf(client)).catch(() => null);
  return standing?.recovery === true ? dirty(database, [reasonOf({ code: 'standby', data: null }, database)]) : null;
}
