import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import { sendMessage } from '../postgres/message.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import { newerJournal, noJournal, readMeta } from './missing.js';
import { JOURNAL_VERSION } from './version.js';

const SCHEMA_SQL = readFileSync(new URL('./schema.sql', import.meta.url), 'utf8');
const FUNCTIONS_SQL = ['./functions.sql', './data-functions.sql', './overrule-functions.sql']
  .map((file) => readFileSync(new URL(file, import.meta.url), 'utf8'))
  .join('\n');

/** Each step compares it with its worker's: a worker that runs on meets the journal of a newer one (functions.sql, expect_version). */
const VERSION_SQL = `create function pgunwind.version() returns integer language sql immutable as 'select ${JOURNAL_VERSION}';`;

/**
 * Brings the schema `pgunwind` to this release's form, under our lock, in one transaction; one round trip when it is there.
 * @param ledgerSql the functions of the database's ledger and release marker (journal/ledgers).
 * @param make false: for a run that is under way. Where it finds no journal somebody has dropped it, or the connection leads to
 *   another database, and nothing is made there.
 * @throws {UnwindError} InstanceBusy, InsufficientPrivileges, JournalNewer, JournalIncomplete (there is none).
 */
export async function ensureJournal(
  client: pg.ClientBase,
  database: string,
  ledgerSql: string,
  { make } = { make: true },
): Promise<void> {
  const wanted = createHash('sha256')
    .update(`${JOURNAL_VERSION}\n${VERSION_SQL}\n${SCHEMA_SQL}\n${FUNCTIONS_SQL}\n${ledgerSql}`)
    .digest('hex');
  const found = await readMeta(client);
  const version = Number(found.version ?? 0);
  if (version > JOURNAL_VERSION) throw newerJournal(database, version);
  if (found.sources === wanted) return;
  if (found.version === null && !make) throw noJournal(database);
  try {
    await sendMessage(
      client,
      `begin isolation level read committed;
${TAKE_LOCK}
${SCHEMA_SQL}
${DROP_FUNCTIONS}
${VERSION_SQL}
${FUNCTIONS_SQL}
${ledgerSql}
${OURS_TOO}
insert into pgunwind.meta values ('version', '${JOURNAL_VERSION}'), ('sources', '${wanted}')
on conflict (key) do update set value = excluded.value;
commit;`,
    );
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw asInstallFailure(error, database);
  }
}

/** The functions are not there yet, so the lock's number stands here once more (functions.sql, take_locks). */
const TAKE_LOCK = `do $$
begin
  if not pg_try_advisory_xact_lock(1885828462, 0) then
    raise exception 'another session holds the migration lock' using errcode = 'UW001';
  end if;
end
$$;`;

/**
 * The journal may be brought up to date in the middle of a run (a rolling deployment of workers). To the next check this
 * transaction is one of the run's own, as if it had been part of its last step; else it would be somebody who changed the catalogs.
 * A check that was made before it is not taken for a step that begins after it (begin_step).
 */
export const OURS_TOO = `do $$
begin
  execute format('create or replace function pgunwind.installed_by() returns xid8 language sql immutable as %L',
                 format('select %L::xid8', pg_current_xact_id()));
end
$$;
update pgunwind.step s
   set xids = s.xids || pg_current_xact_id(),
       delta = (select array_agg(d.n + c.n order by d.ord)
                  from unnest(s.delta) with ordinality d (n, ord)
                  join unnest(pgunwind.catalog_changes()) with ordinality c (n, ord) using (ord)),
       counts = (select array_agg(d.n + c.n order by d.ord)
                   from unnest(s.counts) with ordinality d (n, ord)
                   join unnest(pgunwind.catalog_changes()) with ordinality c (n, ord) using (ord))
  from (select l.run, max(l.seq) as seq from pgunwind.step l where l.state = 'done' group by l.run) last
  join pgunwind.run r on r.run = last.run
 where r.ended_at is null and s.run = last.run and s.seq = last.seq;`;

/** Functions hold no data, and `create or replace` refuses another result type or parameter name: they are made anew. */
const DROP_FUNCTIONS = `do $$
declare
  each regprocedure;
begin
  for each in select p.oid::regprocedure from pg_proc p where p.pronamespace = 'pgunwind'::regnamespace loop
    execute format('drop function %s', each);
  end loop;
end
$$;`;

function asInstallFailure(error: unknown, database: string): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  const sqlstate = sqlstateOf(cause);
  if (sqlstate === 'UW001') {
    return new UnwindError(
      FailureType.InstanceBusy,
      `Another session holds the migration lock of "${database}". Nothing was changed. Trying again.`,
      { retryAfterMs: 1_000 },
    );
  }
  if (sqlstate === '42501') {
    return new UnwindError(
      FailureType.InsufficientPrivileges,
      `The role may not create the schema "pgunwind" in "${database}" (SQLSTATE 42501). Nothing was changed. ` +
        "As the database's owner: grant create on database … to that role; then retry.",
    );
  }
  return cause ?? error;
}
