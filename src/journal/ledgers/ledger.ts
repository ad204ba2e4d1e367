import type { ClientBase } from 'pg';
import type { DataMigrationId, MigrationId } from '../../contract/catalog.js';

/** A client, inside a transaction or not. Never a pool: what belongs together must meet one session. */
export type Queryable = Pick<ClientBase, 'query'>;

export interface LedgerOptions {
  /** Which of the ledger's histories is meant: `schema_migrations`, `codeintel_schema_migrations`, … */
  readonly key: string;
  /** The Postgres schema that the ledger's table lies in. */
  readonly schema: string;
}

/** What the last attempt at a migration left; `absent` is a migration that was undone. */
export type LedgerState = 'applied' | 'absent' | 'up-running' | 'down-running' | 'up-failed' | 'down-failed';

/** The ledger's row that decided a state. The recorded error text stays in the database: it can hold row values. */
export interface LedgerAttempt {
  /** The row's own id. */
  readonly row: number;
  readonly up: boolean;
  /** ISO 8601, UTC, milliseconds. */
  readonly startedAt: string;
  readonly finishedAt: string | null;
  /** Of a failed attempt: the SQLSTATE in its error text; null where it names none. */
  readonly sqlstate: string | null;
  /** Written by the product afterwards, for a migration that was squashed away before this database was born. */
  readonly backfilled: boolean;
}

export interface LedgerReading {
  /** Every id that has a row. An id without one is not in the map: nobody ever tried it. */
  readonly states: ReadonlyMap<MigrationId, LedgerState>;
  readonly attempts: ReadonlyMap<MigrationId, LedgerAttempt>;
  /** The ids whose state is `applied`, in the ledger's own order. */
  readonly applied: readonly MigrationId[];
}

/** The product's own record of what is applied, read and written in its own format so that the product keeps working. */
export interface Ledger {
  readonly kind: 'sourcegraph';

  /**
   * One round trip; null when the ledger's table does not exist. An open transaction is aborted by that answer, and only by
   * that one: a database without a ledger is a reason to stop.
   */
  read(client: Queryable, options: LedgerOptions): Promise<LedgerReading | null>;

  /** Makes the table, or adds the columns that an older one lacks, as the product's own migrator does when it connects. */
  create(client: Queryable, options: LedgerOptions): Promise<void>;

  /**
   * SQL text that installs these functions in the schema `pgunwind`; running it again changes nothing. The table need not
   * exist yet. None opens or ends a transaction; an id that the ledger cannot hold is refused (22023).
   * - `ledger_state(p_migration text) returns text`: a LedgerState, or `none` for an id without a row.
   * - `ledger_begin(p_migration text, p_up boolean) returns bigint`: writes the row of a running attempt, returns its id.
   * - `ledger_end(p_migration text, p_up boolean, p_started timestamptz, p_row bigint) returns void`: with `p_row` null one
   *   row of a finished, successful attempt; else that running row becomes one. Another row is refused (55000).
   * - `ledger_applied() returns text[]`: the applied ids in the ledger's order; never null.
   * - `ledger_open() returns table (migration text, state text, started_at timestamptz)`: running or failed last attempts.
   * - What the product notes of its data migrations; each does nothing where the product keeps no record of this one:
   *   `ledger_data_begin(p_id text, p_reverse boolean)`, `ledger_data_progress(p_id text, p_progress double precision)`,
   *   `ledger_data_end(p_id text, p_progress double precision)` (null: nobody asked), `ledger_data_error(p_id text, p_message text)`.
   *
   * The readers are `stable`: inside a stable function they share its snapshot, inside a volatile one each statement that
   * calls them looks afresh. In one statement with a lock they would look before it.
   */
  functionsSql(options: LedgerOptions): string;

  /**
   * How far the product itself says its data migrations are, from 0 to 1; empty where it keeps no record of them. One round trip,
   * outside of a transaction. A record, not the data: it may be behind.
   */
  dataProgress(client: Queryable, options: LedgerOptions): Promise<ReadonlyMap<DataMigrationId, number>>;

  /** The product's own migration lock, as the two numbers of `pg_try_advisory_lock(int, int)`. */
  lockKey(options: LedgerOptions): { readonly classId: number; readonly objId: number };
}
