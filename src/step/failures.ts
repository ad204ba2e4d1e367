import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import { Answer, type LockHolder, type RawReason } from '../journal/answers.js';
import { lacksJournal, newerJournal } from '../journal/missing.js';
import { MessageError } from '../postgres/message.js';
import { CANCELED, classify, sqlstateOf, TRANSIENT } from '../postgres/sqlstate.js';
import { stale } from './fence.js';
import { pauseAfter, type LockWaits } from './lock-waits.js';
import type { StepOrder } from './order.js';
import { reasonOf } from './reasons.js';
import { failedStatement } from './step-message.js';

/** What a failed message means for the step. */
export type Verdict =
  | { readonly kind: 'busy'; readonly holders: readonly LockHolder[] }
  | { readonly kind: 'done'; readonly result: RecordedResult }
  | { readonly kind: 'begun'; readonly row: BegunRow }
  | { readonly kind: 'failed'; readonly error: UnwindError; readonly sql: SqlFailure | null };

export interface RecordedResult {
  readonly how: string;
  readonly tookMs: number;
  readonly attempt: number;
}

/** The row of a step that an earlier attempt or run began. */
export interface BegunRow {
  readonly run: string;
  readonly seq: number;
  readonly unit: number;
  readonly intent: Intent | null;
  readonly pid: number;
  readonly backend_start: string;
}

/** Before a statement that refuses a transaction: which unit, and the indexes that stood on the table. */
export interface Intent {
  readonly unit: number;
  readonly kind: string;
  readonly table: number | null;
  readonly indexes: readonly number[];
}

export interface SqlFailure {
  readonly sqlstate: string | null;
  /** 1-based among the statements of the message that are the script's own, as near as it can be told. */
  readonly statement: number;
  readonly message: string;
  readonly detail: string | null;
}

/**
 * @param first the unit that the message began with.
 * @throws whatever is neither the server's answer nor a lost session: a cancellation, a fault of our own, a journal that is not there.
 */
export function verdictOf(error: unknown, order: StepOrder, first: number, waits: LockWaits | null = null): Verdict {
  if (error instanceof UnwindError) return failed(error, sqlOf(error.cause, order, first));
  const cause = error instanceof MessageError ? error.cause : error;
  if (!isOfTheDriver(error, cause) || lacksJournal(cause)) throw error;
  const completed = error instanceof MessageError ? error.completed : 0;
  const sqlstate = sqlstateOf(cause);
  if (!(cause instanceof pg.DatabaseError) || sqlstate === null) {
    return {
      kind: 'failed',
      sql: null,
      error: new UnwindError(
        FailureType.DatabaseUnreachable,
        `The session on "${order.database}" was lost during step ${order.seq} (${order.migration}). Whether it committed is in ` +
          'the journal: the next attempt looks there first and repeats nothing that is done.',
        { cause },
      ),
    };
  }
  switch (sqlstate) {
    case Answer.busy:
      return { kind: 'busy', holders: detailOf<LockHolder[]>(cause) ?? [] };
    case Answer.done:
      return { kind: 'done', result: detailOf<RecordedResult>(cause) as RecordedResult };
    case Answer.begun:
      return { kind: 'begun', row: detailOf<BegunRow>(cause) as BegunRow };
    case Answer.dirty:
      return failed(
        dirty(
          order.database,
          (detailOf<RawReason[]>(cause) ?? []).map((raw) => reasonOf(raw, order.database)),
        ),
      );
    case Answer.stale:
      return failed(stale(order.database));
    case Answer.incomplete:
      return failed(
        new UnwindError(
          FailureType.JournalIncomplete,
          `The journal of "${order.database}" does not fit step ${order.seq} (${order.migration}): ${cause.message}. Nothing was changed. ` +
            'Abort this run and start again: the new one plans from journal and ledger.',
        ),
      );
    case Answer.version:
      return failed(newerJournal(order.database, Number(cause.detail)));
    case Answer.behind:
      return failed(
        new UnwindError(
          FailureType.JournalBehind,
          `The journal of "${order.database}" says that ${cause.message}, which this run had seen done: a failover lost commits. Nothing was ` +
            'changed. Journal, ledger and schema are behind together; the run goes back to where they stand.',
        ),
      );
    case Answer.endedTransaction:
      return failed(
        new UnwindError(
          FailureType.StepFailed,
          `The script of ${order.migration} on "${order.database}" ended the transaction that was to carry its record, so it is not recorded as done. ` +
            'Look at what it left, and correct the script in the catalog.',
        ),
      );
    default:
      return sqlFailure(cause, sqlstate, order, failedStatement(order, completed, first), waits);
  }
}

/** node-postgres reports a dropped socket as a bare `Error`; what we throw ourselves, and faults of the code, have other names. */
function isOfTheDriver(error: unknown, cause: unknown): boolean {
  return (
    error instanceof MessageError ||
    cause instanceof pg.DatabaseError ||
    (cause instanceof Error && cause.name === 'Error')
  );
}

/** The server's own words behind an error that has its name already (a part that commits inside, and failed). */
function sqlOf(cause: unknown, order: StepOrder, first: number): SqlFailure | null {
  if (!(cause instanceof MessageError)) return null;
  const verdict = verdictOf(cause, order, first);
  return verdict.kind === 'failed' ? verdict.sql : null;
}

export function dirty(database: string, reasons: readonly ReturnType<typeof reasonOf>[]): UnwindError {
  return new UnwindError(
    FailureType.DirtyDatabase,
    `"${database}" is dirty: ${reasons.map((reason) => `${reason.evidence} [${reason.code}]`).join(' · ')}. Nothing was changed. ` +
      reasons.map((reason) => reason.remedy).join(' '),
    { details: { reasons } },
  );
}

/**
 * Object names, SQLSTATE and place only: the server's message and detail can hold row values, and stay in the journal
 * (pgunwind.failure).
 */
function sqlFailure(
  cause: pg.DatabaseError,
  sqlstate: string,
  order: StepOrder,
  statement: number,
  waits: LockWaits | null,
): Verdict {
  const kind = classify(sqlstate);
  const objects = [
    cause.schema !== undefined && cause.table !== undefined ? `table ${cause.schema}.${cause.table}` : null,
    cause.column === undefined ? null : `column ${cause.column}`,
    cause.constraint === undefined ? null : `constraint ${cause.constraint}`,
    cause.dataType === undefined ? null : `type ${cause.dataType}`,
  ].filter((part) => part !== null);
  const where = `statement ${statement} of migration ${order.migration} (${order.direction}) on "${order.database}"`;
  const what = `SQLSTATE ${sqlstate}${objects.length > 0 ? `, ${objects.join(', ')}` : ''}`;
  const sql: SqlFailure = { sqlstate, statement, message: cause.message, detail: cause.detail ?? null };
  const again = TRANSIENT.has(kind) || CANCELED.has(sqlstate);
  const untouched =
    order.execution === 'atomic' || order.execution === 'empty'
      ? 'The step was rolled back whole.'
      : 'What its earlier parts did is durable and recorded; the step goes on from there.';
  if (sqlstate === LOCK_TIMEOUT) return failed(lockTimeout(order, where, untouched, waits), sql);
  if (again) {
    return failed(
      new UnwindError(
        FailureType.StepInterrupted,
        `${capital(kind)} at ${where} (${what}). ${untouched} Trying again.`,
        {
          details: { sqlstate, kind },
          ...(kind === 'lockNotAvailable' ? { retryAfterMs: pauseAfter(order.attempt) } : {}),
        },
      ),
      sql,
    );
  }
  return failed(
    new UnwindError(
      FailureType.StepFailed,
      `The script failed at ${where} (${what}). ${untouched} The server's own words are in pgunwind.failure of that database ` +
        `(run ${order.run}, seq ${order.seq}). Remove the cause, then send the update "retryStep".`,
      { details: { sqlstate, kind, statement } },
    ),
    sql,
  );
}

const LOCK_TIMEOUT = '55P03';

/** Others queue behind whoever waits for a lock: so we wait for lock_timeout only, make way, and come again. */
function lockTimeout(order: StepOrder, where: string, untouched: string, waits: LockWaits | null): UnwindError {
  const retryAfterMs = pauseAfter(order.attempt);
  return new UnwindError(
    FailureType.StepInterrupted,
    `Another transaction was in the way at ${where} (SQLSTATE ${LOCK_TIMEOUT}): the statement needs ` +
      `${waits?.told() ?? 'a lock; who held it was gone before anyone could look'}. ${untouched} Made way for those behind; ` +
      `trying again in ${retryAfterMs / 1_000} s.`,
    {
      details: { sqlstate: LOCK_TIMEOUT, kind: 'lockNotAvailable', blockers: waits?.sessions() ?? [] },
      retryAfterMs,
    },
  );
}

const WORDS: Readonly<Record<string, string>> = {
  lockNotAvailable: 'another transaction was in the way',
  serialization: 'a conflict with another transaction ended the step',
  resources: 'the server lacked resources',
  connectionLost: 'the server ended the session',
  canceled: 'someone canceled the statement',
};

function capital(kind: string): string {
  const words = WORDS[kind] ?? kind;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function failed(error: UnwindError, sql: SqlFailure | null = null): Verdict {
  return { kind: 'failed', error, sql };
}

function detailOf<T>(error: pg.DatabaseError): T | null {
  return error.detail === undefined ? null : (JSON.parse(error.detail) as T);
}
