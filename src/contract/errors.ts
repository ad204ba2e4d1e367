/**
 * Every way in which pg-unwind can fail, by name. The names travel as the `type` of a Temporal `ApplicationFailure`, as the
 * `code` of the CLI's JSON errors, and are what workflows switch on; they never change once released.
 */
export const FailureType = {
  /** The input of a workflow, a command or an update is not what its schema says. Nothing was done. */
  InvalidInput: 'InvalidInput',
  /** `pg-unwind.yaml` (or what it points to) cannot be used. Nothing was done. */
  InvalidConfig: 'InvalidConfig',
  /** The source of a catalog breaks its format's rules, or a compiled catalog cannot be read. */
  InvalidCatalog: 'InvalidCatalog',
  UnknownInstance: 'UnknownInstance',
  UnknownProduct: 'UnknownProduct',
  UnknownRelease: 'UnknownRelease',
  /** A ledger says that a migration is applied which no release of the catalog knows. */
  UnknownMigration: 'UnknownMigration',
  /** The target cannot be reached from the applied set in the asked direction. */
  TargetNotReachable: 'TargetNotReachable',
  /** The catalog has no data migration of that id. */
  UnknownDataMigration: 'UnknownDataMigration',
  /** A data migration cannot be run on the schema that stands, or not in this direction. */
  DataNotRunnable: 'DataNotRunnable',
  /** The database has no ledger: it is empty, or not one of this product. */
  NoLedger: 'NoLedger',
  /** The plan needs a script that the engine does not run: it ends its own transaction in a way that cannot be recorded. */
  ScriptRefused: 'ScriptRefused',
  /** The database is not in the state that the journal says it must be. Details: `DirtyReason[]`. */
  DirtyDatabase: 'DirtyDatabase',
  /** A newer claim on the database exists; this attempt may do nothing more. */
  StaleAttempt: 'StaleAttempt',
  /** Another session holds the migration lock. Retried. */
  InstanceBusy: 'InstanceBusy',
  /** A claim by another workflow is open on the database. */
  ClaimedByAnother: 'ClaimedByAnother',
  /** Sessions of others were connected when a leg was to begin, and the instance's policy refuses that. The run parks. */
  ActiveWriters: 'ActiveWriters',
  /** The script failed in a way that a repeat can cure (lock, deadlock, resources, connection). Retried. */
  StepInterrupted: 'StepInterrupted',
  /** The script failed in a way that a repeat cannot cure. The run parks. */
  StepFailed: 'StepFailed',
  /** An opaque or session-bound script died in the middle: only a person can say what it did. The run parks. */
  StepUndecided: 'StepUndecided',
  /** The database cannot be reached. Retried. */
  DatabaseUnreachable: 'DatabaseUnreachable',
  /** The role lacks a privilege that the plan needs. Details name each. */
  InsufficientPrivileges: 'InsufficientPrivileges',
  /** Between worker and server a pooler hands transactions to changing backends: locks would mean nothing. */
  TransactionPooler: 'TransactionPooler',
  /** The journal has no such plan, run or script. */
  JournalIncomplete: 'JournalIncomplete',
  /** The journal was written by a newer pg-unwind than this worker. Retried for a while: another worker may be new enough. */
  JournalNewer: 'JournalNewer',
  /** The journal lacks steps that the run has seen done: a failover lost commits. The run goes back to the journal's position. */
  JournalBehind: 'JournalBehind',
  /** A batch of a data migration failed, and a repeat would fail again. What was done before it is durable. */
  DataFailed: 'DataFailed',
  /** A data migration says that it works, and its data does not move; or there is nothing left to do, and it is not at its end. */
  DataStalled: 'DataStalled',
  /** What a plan destroys holds clearly more than when consent to it was asked for. Nothing was approved. */
  LossesGrown: 'LossesGrown',
  /** Nobody polls the task queue of an activity of the product's own. Nothing of it was begun; the run parks. */
  HandlerUnavailable: 'HandlerUnavailable',
  /** A hook of the operator's refused, failed, or could not be reached often enough. The run parks. */
  HookFailed: 'HookFailed',
  /** A hook did not answer, or asked to be called again later. Retried, as often as its `attempts` say. */
  HookUnanswered: 'HookUnanswered',
  /** Somebody completed or failed the activity by hand (`temporal activity complete`, `fail`). The run parks. */
  SettledByHand: 'SettledByHand',
  /** An operator ends the run (`abort`, `turnBack`): a step that was held up and of which nothing stands is not tried again. */
  RunEnding: 'RunEnding',
  /** An error of pg-unwind itself that has no name here. */
  Unexpected: 'Unexpected',
} as const;
export type FailureType = (typeof FailureType)[keyof typeof FailureType];

/** Failures that a later attempt can cure without anyone's help; everything else parks the run at once. */
export const RETRYABLE: ReadonlySet<FailureType> = new Set([
  FailureType.InstanceBusy,
  FailureType.StepInterrupted,
  FailureType.DatabaseUnreachable,
  FailureType.JournalNewer,
  FailureType.HookUnanswered,
]);

/** Failures that end a workflow at once: no repeat and no operator's decision can cure what was asked. */
export const FATAL: ReadonlySet<FailureType> = new Set([
  FailureType.InvalidInput,
  FailureType.InvalidConfig,
  FailureType.InvalidCatalog,
  FailureType.UnknownInstance,
  FailureType.UnknownProduct,
  FailureType.UnknownRelease,
  FailureType.TargetNotReachable,
  FailureType.ScriptRefused,
  FailureType.UnknownDataMigration,
  FailureType.DataNotRunnable,
]);

/**
 * An error of the product, in words for the person who reads it: what was found, what it means, what to do next.
 * Never carries a connection string, a row or SQL text: `message` and `details` reach Temporal's history and the logs.
 */
export class UnwindError extends Error {
  readonly type: FailureType;
  /** Plain JSON, for programs: names, codes, counts. */
  readonly details: Readonly<Record<string, unknown>>;
  /** How long to wait before the next attempt, when the error knows better than the retry policy. */
  readonly retryAfterMs: number | undefined;

  constructor(
    type: FailureType,
    message: string,
    options: { details?: Readonly<Record<string, unknown>>; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = type;
    this.type = type;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  get retryable(): boolean {
    return RETRYABLE.has(this.type);
  }
}

/** The CLI's exit codes; the README documents them. */
export const ExitCode = { done: 0, unexpected: 1, invalidInput: 2, needsOperator: 3, aborted: 4 } as const;
