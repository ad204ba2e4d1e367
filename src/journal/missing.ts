import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import { MessageError } from '../postgres/message.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import { JOURNAL_VERSION } from './version.js';

/** SQLSTATEs of a name that is not there. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set([
  '3F000', // invalid_schema_name
  '42P01', // undefined_table
  '42883', // undefined_function
]);

/** The journal, or a part of it, is not there: the server misses a name of its schema. */
export function lacksJournal(error: unknown): boolean {
  const cause = error instanceof MessageError ? error.cause : error;
  return (
    cause instanceof pg.DatabaseError && NO_SUCH_NAME.has(sqlstateOf(cause) ?? '') && /\bpgunwind\b/.test(cause.message) // the server may speak any language; names stay what they are
  );
}

/** What the journal says of itself; nulls where there is none. */
export async function readMeta(client: pg.ClientBase): Promise<{ version: string | null; sources: string | null }> {
  try {
    const { rows } = await client.query<{ key: string; value: string }>(
      '-- pg-unwind journal.read-meta\nselect key, value from pgunwind.meta',
    );
    const value = (key: string) => rows.find((row) => row.key === key)?.value ?? null;
    return { version: value('version'), sources: value('sources') };
  } catch (error) {
    if (lacksJournal(error)) return { version: null, sources: null };
    throw error;
  }
}

/** What a query that missed a name of the journal has met. */
export async function lackingJournal(client: pg.ClientBase, database: string): Promise<UnwindError> {
  const { version } = await readMeta(client);
  if (version === null) return noJournal(database);
  return Number(version) > JOURNAL_VERSION ? newerJournal(database, Number(version)) : partOfJournal(database);
}

/** Another worker of the same queue may be newer, so a later attempt can cure it. */
export function newerJournal(database: string, version: number): UnwindError {
  return new UnwindError(
    FailureType.JournalNewer,
    `The journal of "${database}" has version ${version}, this worker knows version ${JOURNAL_VERSION}: a newer pg-unwind has worked ` +
      'there. Nothing was changed by this worker. Update it (stop the old workers, start new ones); then the run goes on by itself, or, ' +
      'once it is parked, with the update "retryStep".',
    { retryAfterMs: 5_000, details: { version, known: JOURNAL_VERSION } },
  );
}

export function noJournal(database: string): UnwindError {
  return new UnwindError(
    FailureType.JournalIncomplete,
    `"${database}" has no journal: the schema "pgunwind" is not there. Somebody dropped it, or the connection leads to another database. ` +
      'Nothing was changed. If the connection reference is wrong, correct it and send the update "retryStep". Otherwise abort this run and ' +
      "start again: the new one makes the journal anew and plans from the product's ledger.",
  );
}

function partOfJournal(database: string): UnwindError {
  return new UnwindError(
    FailureType.JournalIncomplete,
    `The journal of "${database}" lacks parts of its own: tables or functions of the schema "pgunwind" were dropped. Nothing was changed. ` +
      'Abort this run, drop what is left ("drop schema pgunwind cascade"), and start again: the new run makes the journal anew and plans ' +
      "from the product's ledger.",
  );
}
