import type pg from 'pg';
import type { Writer } from '../contract/writers.js';
import type { InstanceDatabase } from './database.js';

/** Roles and names of programs that may stay connected: a monitor, a pooler's own, a backup. */
export interface WritersExempt {
  readonly exemptRoles: readonly string[];
  /** Exact, or the beginning of a name with `*` behind it. */
  readonly exemptApplicationNames: readonly string[];
}

/**
 * Of other roles' sessions an ordinary role sees database, role and name, and nothing more: no state, no kind. What is known not to
 * be a client (a parallel worker, a replica's feeder, a background worker) is left out where that can be seen.
 */
const SESSIONS = `-- pg-unwind writers.sessions
select a.usename::text as role, coalesce(a.application_name, '') as application, count(*)::integer as sessions
  from pg_stat_activity a
 where a.datname = current_database()
   and a.pid <> pg_backend_pid()
   and a.usename is not null
   and coalesce(a.backend_type, 'client backend') = 'client backend'
   and not exists (select from pg_stat_replication r where r.pid = a.pid)
 group by a.usename, a.application_name
 order by a.usename, a.application_name`;

/** Sessions of others that could write to this database now. */
export async function findWriters(
  client: pg.ClientBase,
  { name }: Pick<InstanceDatabase, 'name'>,
  exempt: WritersExempt,
): Promise<readonly Writer[]> {
  const { rows } = await client.query<Omit<Writer, 'database'>>(SESSIONS);
  return rows
    .filter((row) => !isOurs(row.application) && !isExempt(row, exempt))
    .map((row) => ({ database: name, ...row }));
}

/** `pg-unwind` is at rest, `pg-unwind …` our own tools, `pgu:…` at work (fence.ts). */
function isOurs(application: string): boolean {
  return application === 'pg-unwind' || application.startsWith('pg-unwind ') || application.startsWith('pgu:');
}

export function isExempt(
  { role, application }: Pick<Writer, 'role' | 'application'>,
  { exemptRoles, exemptApplicationNames }: WritersExempt,
): boolean {
  if (exemptRoles.includes(role)) return true;
  return exemptApplicationNames.some((pattern) =>
    pattern.endsWith('*') ? application.startsWith(pattern.slice(0, -1)) : application === pattern,
  );
}
