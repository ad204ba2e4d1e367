/** What the functions in functions.sql answer by raising: SQLSTATEs of our own, class `UW`. */
export const Answer = {
  /** Another session holds a migration lock; the detail lists the holders. */
  busy: 'UW001',
  /** The journal has the step's result; it is the detail. */
  done: 'UW002',
  /** An earlier attempt or run began the step; its row is the detail. */
  begun: 'UW003',
  /** The database is not what the journal says; the detail lists the reasons as `check` does. */
  dirty: 'UW004',
  /** A newer claim exists. */
  stale: 'UW005',
  /** The journal lacks, or contradicts, what was asked. */
  incomplete: 'UW006',
  /** The script ended the transaction that was to carry its record. */
  endedTransaction: 'UW007',
  /** The step before is not done here: commits were lost, and the journal is the position. */
  behind: 'UW008',
  /** Another workflow's run is open on the database. */
  claimed: 'UW009',
  /** The journal has another version than the worker knows; it is the detail. */
  version: 'UW010',
  /** An operator takes a step over, and the ledger does not say what it must after it; the detail is what it says. */
  ledger: 'UW011',
} as const;
export type Answer = (typeof Answer)[keyof typeof Answer];

/** A session that holds one of the two migration locks. */
export interface LockHolder {
  readonly pid: number;
  /** As Postgres prints it: compared as text, with the pid it names one session for ever. */
  readonly backendStart: string | null;
  readonly application: string | null;
  readonly user: string | null;
  readonly state: string | null;
  readonly since: string | null;
  /** Holds our key (else the product's). */
  readonly ours: boolean;
  /** Its name carries a token that this database's fence issued: an attempt of ours. */
  readonly issued: boolean;
  readonly client: string | null;
}

/** A reason as the database gives it; src/step/reasons.ts puts it into words. */
export interface RawReason {
  readonly code: string;
  readonly data: unknown;
}

export interface RawCheck {
  readonly clean: boolean;
  readonly how: 'quiet' | 'counted' | 'baseline';
  readonly reasons: readonly RawReason[];
  readonly warnings: readonly RawReason[];
  readonly snapshot: string;
  readonly counts: readonly number[];
  /** The database's clock. */
  readonly at: string;
  readonly nextSeq: number;
  /** Of the server's WAL: a failover raises it. */
  readonly timeline: number;
  readonly tookMs: number;
}
