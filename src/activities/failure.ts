import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import type { Logger } from 'pino';
import { FailureType, UnwindError } from '../contract/errors.js';
import { MessageError } from '../postgres/message.js';
import { kindOf, sqlstateOf, TRANSIENT } from '../postgres/sqlstate.js';

/**
 * Attempts of what another worker may cure, and time alone does not. A minute is longer than workers of two releases live side by
 * side in a rolling deployment; where all are too old a person must know.
 */
const PATIENCE: Readonly<Partial<Record<FailureType, number>>> = { [FailureType.JournalNewer]: 12 };

/**
 * What an activity throws, as Temporal is told it: types and words of ours, SQLSTATE and names, never a row, a text or a
 * connection string. The server's own words go to the log of this worker only when they come from our own queries.
 */
export function asFailure(
  thrown: unknown,
  activity: string,
  log: Logger,
  signal: AbortSignal,
  attempt: number = 1,
): unknown {
  const error = thrown instanceof MessageError ? thrown.cause : thrown;
  if (error instanceof CancelledFailure) return error;
  if (signal.aborted && !(error instanceof UnwindError && !error.retryable)) {
    return signal.reason instanceof Error ? signal.reason : new CancelledFailure('cancelled');
  }
  if (error instanceof UnwindError) {
    return ApplicationFailure.create({
      type: error.type,
      message: error.message,
      nonRetryable: !error.retryable || attempt >= (PATIENCE[error.type] ?? Infinity),
      details: [error.details],
      ...(error.retryAfterMs === undefined ? {} : { nextRetryDelay: error.retryAfterMs }),
    });
  }
  const sqlstate = sqlstateOf(error);
  const kind = kindOf(error);
  if (sqlstate !== null || looksLikeLostConnection(error)) {
    // As for a step's own script (step/failures.ts): a lock, or a DBA who cancels a check, is no reason to call a person.
    const transient = TRANSIENT.has(kind) || kind === 'canceled';
    log[transient ? 'debug' : 'error']({ activity, sqlstate, kind, err: error }, 'a query of ours failed');
    return ApplicationFailure.create({
      type: transient ? FailureType.DatabaseUnreachable : FailureType.Unexpected,
      message:
        `A query of pg-unwind failed in ${activity} (${sqlstate === null ? 'the connection was lost' : `SQLSTATE ${sqlstate}`}). ` +
        (transient ? 'Trying again.' : 'Nothing is known to be changed. The log of the worker has the statement.'),
      nonRetryable: !transient,
      details: [{ sqlstate }],
    });
  }
  log.error({ activity, err: error }, 'unexpected error');
  return ApplicationFailure.create({
    type: FailureType.Unexpected,
    message: `${activity} failed in a way that has no name here; the log of the worker has the error and where it arose.`,
    nonRetryable: true,
    details: [{}],
  });
}

/** The same failure, with more for programs. */
export function withDetails(failure: unknown, more: Readonly<Record<string, unknown>>): unknown {
  if (!(failure instanceof ApplicationFailure)) return failure; // a cancellation
  const { type, message, nonRetryable, nextRetryDelay, details } = failure;
  const first: unknown = details?.[0];
  return ApplicationFailure.create({
    ...(type === null || type === undefined ? {} : { type }),
    message,
    nonRetryable: nonRetryable ?? false,
    details: [{ ...(typeof first === 'object' ? first : {}), ...more }],
    ...(nextRetryDelay === undefined || nextRetryDelay === null ? {} : { nextRetryDelay }),
  });
}

function looksLikeLostConnection(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const message = error instanceof Error ? error.message : '';
  return (
    /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOST)/.test(code) ||
    /connection (terminated|error)|not queryable|query read timeout|timeout expired/i.test(message)
  );
}
