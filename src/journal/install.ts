import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import { sendMessage } from '../postgres/message.js';
import { sqlstateOf } from '../postgres/sqlstate.js';

const SCHEMA_SQL = readFileSync(new URL('./schema.sql', import.meta.url), 'utf8');
const FUNCTIONS_SQL = readFileSync(new URL('./functions.sql', import.meta.url), 'utf8');

/**
 * Of schema.sql and functions.sql: one more with every release that changes either, or workers of two releases would undo each
 * other's work. A journal of a higher number was written by a newer pg-unwind, and is left alone.
 */
const JOURNAL_VERSION = 1;

/**
 * Brings the schema `pgunwind` to this release's form, under our lock, in one transaction; one round trip when it is there.
 * @param ledgerSql the functions of the database's ledger and release marker (journal/ledgers).
 * @throws {UnwindError} InstanceBusy, InsufficientPrivileges, JournalIncomplete (written by a newer pg-unwind).
 */
export async function ensureJournal(client: pg.ClientBase, database: string, ledgerSql: string): Promise<void> {
  const wanted = createHash('sha256')
    .update(`${JOURNAL_VERSION}\n${SCHEMA_SQL}\n${FUNCTIONS_SQL}\n${ledgerSql}`)
    .digest('hex');
  const found = await readMeta(client);
  if (found.sources === wanted) return;
  const version = Number(found.version ?? 0);
  if (version > JOURNAL_VERSION) {
    throw new UnwindError(
      FailureType.JournalIncomplete,
      `The journal in "${database}" has version ${version}; this worker knows ${JOURNAL_VERSION}. It was written by a newer ` +
        'pg-unwind. Nothing was changed. Run that version, or a newer one.',
    );
  }
  try {
    await sendMessage(
      client,
      `begin isolation level read committed;
${TAKE_LOCK}
${SCHEMA_SQL}
${DROP_FUNCTIONS}
${FUNCTIONS_SQL}
${ledgerSql}
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

async function readMeta(client: pg.ClientBase): Promise<{ version: string | null; sources: string | null }> {
  try {
    const { rows } = await client.query<{ key: string; value: string }>(
      '-- pg-unwind journal.read-meta\nselect key, value from pgunwind.meta',
    );
    const value = (key: string) => rows.find((row) => row.key === key)?.value ?? null;
    return { version: value('version'), sources: value('sources') };
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    if (sqlstate === '42P01' || sqlstate === '3F000') return { version: null, sources: null };
    throw error;
  }
}

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
