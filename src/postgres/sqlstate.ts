import pg from 'pg';

/** SQLSTATEs by what a step may do next; spelled as in the PostgreSQL manual, appendix A. */

/** The session is gone, or never came to be. What its last transaction did is known to the journal alone. */
export const CONNECTION_LOST: ReadonlySet<string> = new Set([
  '08000', // connection_exception
  '08001', // sqlclient_unable_to_establish_sqlconnection
  '08003', // connection_does_not_exist
  '08004', // sqlserver_rejected_establishment_of_sqlconnection
  '08006', // connection_failure
  '08P01', // protocol_violation: what a pooler says when its server went away
  '57P01', // admin_shutdown: pg_terminate_backend, or a fast shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now: starting up, or in recovery without hot standby
  '57P05', // idle_session_timeout
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout: the server ends the session, not the statement
]);

/** Another transaction was in the way; ours rolled back whole, and the same text may run again. */
export const LOCK_NOT_AVAILABLE: ReadonlySet<string> = new Set([
  '55P03', // lock_not_available: lock_timeout passed, or NOWAIT
  '55006', // object_in_use: another session uses the table or database
]);

export const SERIALIZATION: ReadonlySet<string> = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '40003', // statement_completion_unknown
]);

/** The server lacks something that it may have again: disk, memory, connections. */
export const RESOURCES: ReadonlySet<string> = new Set([
  '53000', // insufficient_resources
  '53100', // disk_full
  '53200', // out_of_memory
  '53300', // too_many_connections
  '53400', // configuration_limit_exceeded
  '58030', // io_error
]);

/** Someone ended the statement: pg_cancel_backend, or a statement_timeout that a script set itself. */
export const CANCELED: ReadonlySet<string> = new Set(['57014']); // query_canceled

export const PERMISSION: ReadonlySet<string> = new Set([
  '42501', // insufficient_privilege
  '28000', // invalid_authorization_specification
  '28P01', // invalid_password
]);

/** The text cannot run as it stands: spelling, names, types. */
export const SYNTAX_CLASS = '42';
/** The rows do not allow it: not null, unique, foreign keys, casts. */
export const DATA_CLASSES: ReadonlySet<string> = new Set(['22', '23', '21', '44']);

export type SqlstateKind =
  | 'connectionLost'
  | 'lockNotAvailable'
  | 'serialization'
  | 'resources'
  | 'canceled'
  | 'permission'
  | 'syntax'
  | 'data'
  | 'other';

/** The first four may be tried again without anyone's help; `canceled` too when nobody of ours asked for it. */
export const TRANSIENT: ReadonlySet<SqlstateKind> = new Set([
  'connectionLost',
  'lockNotAvailable',
  'serialization',
  'resources',
]);

export function classify(sqlstate: string): SqlstateKind {
  if (CONNECTION_LOST.has(sqlstate)) return 'connectionLost';
  if (LOCK_NOT_AVAILABLE.has(sqlstate)) return 'lockNotAvailable';
  if (SERIALIZATION.has(sqlstate)) return 'serialization';
  if (RESOURCES.has(sqlstate)) return 'resources';
  if (CANCELED.has(sqlstate)) return 'canceled';
  if (PERMISSION.has(sqlstate)) return 'permission';
  if (sqlstate.startsWith(SYNTAX_CLASS)) return 'syntax';
  if (DATA_CLASSES.has(sqlstate.slice(0, 2))) return 'data';
  return 'other';
}

/**
 * The SQLSTATE of an error from the driver; null when there is none. node-postgres reports a dropped socket as an `Error`
 * without one: from the driver, no code means that nobody knows what the server did.
 */
export function sqlstateOf(error: unknown): string | null {
  return error instanceof pg.DatabaseError && error.code !== undefined ? error.code : null;
}

/** `classify` for whatever a query threw. */
export function kindOf(error: unknown): SqlstateKind {
  const sqlstate = sqlstateOf(error);
  return sqlstate === null ? 'connectionLost' : classify(sqlstate);
}
