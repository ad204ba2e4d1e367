import type { BlockerPolicy, EndedSession } from './blockers.js';
import type { DatabaseName, DataMigrationId, MigrationId } from './catalog.js';
import type {
  DataCallsBegun,
  DataOutcome,
  DataPlace,
  EndDataCallsInput,
  NoteDataCallInput,
  NoteDataFailureInput,
  RunDataMigrationInput,
} from './data-activities.js';
import type { DirtyReason, DirtyWarning } from './dirty.js';
import type { Expected } from './estimate.js';
import type { AnswerHookInput, HookAnswered, HookCall, HookKinds } from './hooks.js';
import type { Via } from './input.js';
import type { LossSummary, RestorePoint } from './losses.js';
import type { Notice, NoticeAnswer } from './notices.js';
import type { AcceptDirtyActivityInput, SkipStepActivityInput } from './overrule-activities.js';
import type { Direction, PlanId } from './plan.js';
import type { Execution } from './script.js';
import type { Writer, WritersPolicy } from './writers.js';

/** What crosses between a workflow and its activities: one plain JSON object in, one out. No SQL, no row, no secret. */

/** Who holds a claim: the workflow that hands out the work. */
export interface Owner {
  readonly namespace: string;
  readonly workflowId: string;
  /** Temporal's run id at the time of the claim; a label for people. */
  readonly runId: string;
}

export interface MakePlanInput {
  readonly instance: string;
  readonly direction: Direction;
  readonly to: string;
  /** Guard: the run fails unless the instance stands exactly at this release. */
  readonly from: string | null;
  readonly owner: Owner;
  /** Where the run shall wait on its way. */
  readonly via?: Via;
  /** The plan that the input consents to: where it is this one, nobody will be asked, and nothing is counted. */
  readonly consentTo?: PlanId | null;
  /** The run of the journal whose way is taken back. */
  readonly turnsBack?: string;
  /** uuid for a new run; an open run of the same owner, direction and target goes on under its own id instead. */
  readonly run: string;
}

/** A data migration by itself, on the schema that stands. */
export interface MakeDataPlanInput {
  readonly instance: string;
  readonly id: DataMigrationId;
  readonly direction: DataDirection;
  readonly owner: Owner;
  readonly takeOver: boolean;
  /** uuid for a new run; an open run of the same owner and direction goes on under its own id instead. */
  readonly run: string;
}

export type DataDirection = 'forward' | 'reverse';

/** What the run of one data migration is about. */
export interface DataSubject {
  readonly id: DataMigrationId;
  readonly direction: DataDirection;
  readonly database: DatabaseName;
  readonly description: string;
}

export interface LegSummary {
  readonly release: string;
  readonly steps: Readonly<Record<DatabaseName, number>>;
  /** Steps that the journal already calls done (a run that goes on). */
  readonly done: Readonly<Record<DatabaseName, number>>;
  /** The release marker is written and the boundary closed. */
  readonly closed: boolean;
  /** Data migrations of the leg, and those that the journal calls done; left out where there are none. */
  readonly data?: Readonly<Record<DatabaseName, number>>;
  readonly dataDone?: Readonly<Record<DatabaseName, number>>;
}

export interface PlanSummary {
  readonly plan: PlanId;
  readonly run: string;
  /** An earlier run's journal was found open: this one goes on with its plan. */
  readonly resumed: boolean;
  readonly product: string;
  readonly direction: Direction;
  readonly from: string | null;
  readonly to: string;
  readonly toAliases: readonly string[];
  readonly databases: readonly DatabaseName[];
  readonly legs: readonly LegSummary[];
  /** Legs (0-based) behind which the run waits for `continue`; left out where there are none. */
  readonly stops?: readonly number[];
  /** What is called on the way; left out where nothing is. */
  readonly hooks?: HookKinds;
  /** Steps that lose content, and irreversible data migrations that have progressed, or may have; 0 needs no consent. */
  readonly destructiveSteps: number;
  /** The first ten, for people: `frontend 1771010057 drop_jobs: table jobs`. */
  readonly destructiveExamples: readonly string[];
  /** What consent will be asked for, counted when the plan was made; left out where nobody will be asked. */
  readonly losses?: LossSummary;
  /** Consent to this very plan that the journal already holds. */
  readonly approved: boolean;
  readonly warnings: readonly string[];
  /** Cluster and database of each, `<system identifier>/<oid>`; a plan of before 0.1 has none. */
  readonly servers?: Readonly<Record<DatabaseName, string>>;
  /** Of a run of one data migration; left out in the plan of a way. */
  readonly data?: DataSubject;
  /** What its parts should take; a plan of before 0.1 has none, and its run no estimate. */
  readonly expected?: Expected;
  /** The namespace has our search attributes: the workflow may upsert them. */
  readonly searchAttributes: boolean;
  /** The workflow says in its memo where the plan is to be read: left out in histories in which it did not. */
  readonly memo?: true;
  readonly options: RunOptions;
}

/** Settings of the instance that the workflow itself needs. */
export interface RunOptions {
  readonly stepTimeoutSeconds: number;
  readonly heartbeatTimeoutSeconds: number;
  /** Attempts of a retryable failure before the run parks; null: for ever. */
  readonly maximumAttempts: number | null;
  /** How long an activity of the product's own may wait for a worker before somebody asks whether its queue is polled. */
  readonly workerWaitSeconds?: number;
}

export interface ClaimInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly owner: Owner;
  readonly databases: readonly DatabaseName[];
  /** Take over from another owner whose run is still open: an operator decided so. */
  readonly takeOver: boolean;
  /** Where the databases were when the plan was made: a run stays with its clusters. */
  readonly servers?: Readonly<Record<DatabaseName, string>>;
}

export interface ClaimResult {
  /** The fence tokens: uuids issued by each database. */
  readonly tokens: Readonly<Record<DatabaseName, string>>;
}

/** Gives the claims back: nobody may act until the next claim. */
export interface YieldClaimInput {
  readonly instance: string;
  readonly run: string;
  readonly databases: readonly DatabaseName[];
  readonly tokens: Readonly<Record<DatabaseName, string>>;
  readonly why: 'parked' | 'paused' | 'ended';
}

export interface ReadLegInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  /** 0-based. */
  readonly leg: number;
  /** Those of the plan, where it is not that of the whole instance. */
  readonly databases?: readonly DatabaseName[];
  /** Whoever else is connected: no leg begins by this reading. */
  readonly besideWriters?: true;
}

/** A step as the workflow sees it: enough to name it and to order it. */
export interface StepRef {
  readonly seq: number;
  readonly migration: MigrationId;
  readonly name: string;
  readonly execution: Execution;
  readonly done: boolean;
}

/** A data migration of a leg as the workflow sees it. */
export interface DataStepRef {
  readonly id: DataMigrationId;
  readonly description: string;
  readonly act: 'forward' | 'reverse' | 'leave' | 'lose';
  readonly done: boolean;
  /** Moved by calls of an activity of the product's own; left out: by queries, or not at all. */
  readonly activity?: { readonly taskQueue: string; readonly type: string };
}

export interface LegRef {
  readonly release: string;
  readonly steps: Readonly<Record<DatabaseName, readonly StepRef[]>>;
  readonly closed: boolean;
  /** Left out where the leg has none. */
  readonly data?: Readonly<Record<DatabaseName, readonly DataStepRef[]>>;
  /** Where each database was before the run's first leg that destroys; left out before that. */
  readonly restorePoints?: Readonly<Record<DatabaseName, RestorePoint>>;
  /** Sessions of others, where the leg has still something to do; left out where there are none. */
  readonly writers?: { readonly policy: Exclude<WritersPolicy, 'refuse'>; readonly found: readonly Writer[] };
  /** Sessions that the policy refuses were there, and left while this looked. */
  readonly writersLeft?: true;
}

export interface AwaitWritersInput {
  readonly instance: string;
  /** The leg that is not begun while they are there, for the log. */
  readonly release: string;
  /** Those of the plan, where it is not that of the whole instance. */
  readonly databases?: readonly DatabaseName[];
}

export interface CheckDirtyInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly database: DatabaseName;
  /** The step that would come next; one past the last for the final check. */
  readonly nextSeq: number;
  readonly token: string;
  /** The highest timeline that this run has seen of this database: a lower one is an old primary. Null: none yet. */
  readonly timeline: number | null;
  /** Where the database was when the plan was made. */
  readonly server?: string;
}

export interface CheckVerdict {
  readonly clean: boolean;
  readonly reasons: readonly DirtyReason[];
  readonly warnings: readonly DirtyWarning[];
  /** `quiet`: no one else had a transaction id · `counted`: catalogs compared · `baseline`: nothing to compare with yet. */
  readonly how: 'quiet' | 'counted' | 'baseline';
  readonly tookMs: number;
  /** Of the server's WAL; a failover raises it. */
  readonly timeline: number;
}

export interface ApplyMigrationInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly leg: number;
  readonly database: DatabaseName;
  readonly seq: number;
  readonly migration: MigrationId;
  readonly direction: Direction;
  readonly token: string;
  /** The run's own policy about sessions in the way; without it the instance's. */
  readonly blockers?: BlockerPolicy;
}

export interface StepOutcome {
  readonly how: 'ran' | 'foundDone' | 'resumed' | 'probed' | 'empty';
  /** For `resumed`: the unit (1-based) that the attempt began with. */
  readonly unit: number | null;
  /** Duration of the recorded execution in milliseconds, from the database's clock. */
  readonly tookMs: number;
  readonly attempt: number;
  readonly notices: number;
  /** Notices that say "does not exist, skipping" during a down: they hide misspelt names. */
  readonly skippedNotices: number;
  /** Sessions that were ended because the step needed their locks; left out where there was none. */
  readonly endedSessions?: readonly EndedSession[];
  /** The check that rode behind the step's commit: the one before the next step. Null where the step was found done. */
  readonly check: CheckVerdict | null;
}

export interface RecordReleaseInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly leg: number;
  readonly tokens: Readonly<Record<DatabaseName, string>>;
}

export interface RecordReleaseResult {
  readonly release: string;
  /** What the product's own version row says now; null where the product has none configured. */
  readonly marker: string | null;
  readonly found: 'written' | 'foundDone';
}

export interface VerifyReleaseInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly leg: number;
  /** Compare with a recorded fingerprint of the same release too (slower). */
  readonly fingerprint: boolean;
}

export interface VerifyReleaseResult {
  readonly release: string;
  readonly reasons: readonly DirtyReason[];
  /** Differences from the fingerprint that this database showed at the same release before; empty when none is known. */
  readonly drift: Readonly<Record<DatabaseName, readonly string[]>>;
  /** What could not be looked at. */
  readonly warnings?: readonly string[];
}

export interface RecordDecisionInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId | null;
  readonly kind: string;
  readonly by: string | null;
  readonly why: string | null;
  /** ISO 8601, workflow time. */
  readonly at: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** Those of the plan, where it is not that of the whole instance. */
  readonly databases?: readonly DatabaseName[];
}

export interface EndRunInput {
  readonly instance: string;
  readonly run: string;
  /** Those of the plan, where it is not that of the whole instance. */
  readonly databases?: readonly DatabaseName[];
  readonly state: 'completed' | 'aborted' | 'cancelled';
}

export interface AskPollersInput {
  readonly taskQueue: string;
}

/** A worker that the server has seen asking for activities of a queue within the last five minutes. */
export interface Poller {
  readonly identity: string;
  readonly secondsAgo: number;
}

export interface Activities {
  /** Reads ledgers and journals of all databases, computes the plan, stores it with its scripts in every journal. */
  makePlan(input: MakePlanInput): Promise<PlanSummary>;
  /** The same for one data migration by itself, in its own database. */
  makeDataPlan(input: MakeDataPlanInput): Promise<PlanSummary>;
  /** Ends every session of the owner's earlier claims, then issues a new fence token per database. */
  claim(input: ClaimInput): Promise<ClaimResult>;
  yieldClaim(input: YieldClaimInput): Promise<void>;
  /** @throws {UnwindError} ActiveWriters, where the instance refuses to begin a leg beside sessions of others. */
  readLeg(input: ReadLegInput): Promise<LegRef>;
  /** Returns when no session of others is connected any more, or after some minutes with those that still are. */
  awaitWriters(input: AwaitWritersInput): Promise<{ readonly writers: readonly Writer[] }>;
  checkDirty(input: CheckDirtyInput): Promise<CheckVerdict>;
  applyMigration(input: ApplyMigrationInput): Promise<StepOutcome>;
  /** Carries a data migration to its end, in batches of one transaction each. */
  runDataMigration(input: RunDataMigrationInput): Promise<DataOutcome>;
  /** Asks the journal first: a hook that has answered is not called again. */
  callHook(input: HookCall): Promise<HookAnswered>;
  /** Into the journals, what an activity of the operator's has answered. */
  answerHook(input: AnswerHookInput): Promise<void>;
  /** No database is asked: the run may be parked because there is none. */
  notify(input: Notice): Promise<NoticeAnswer>;
  /** Where a handler that is an activity goes on, under the guards of a batch; or that there is nothing left to do. */
  beginDataCalls(input: RunDataMigrationInput): Promise<DataCallsBegun | DataOutcome>;
  noteDataCall(input: NoteDataCallInput): Promise<DataPlace>;
  /** A call that has failed for good, where people and the product look for it. */
  noteDataFailure(input: NoteDataFailureInput): Promise<void>;
  endDataCalls(input: EndDataCallsInput): Promise<DataOutcome>;
  /** @throws {UnwindError} DirtyDatabase, where what is found is not what was shown: nothing is accepted then. */
  acceptDirty(input: AcceptDirtyActivityInput): Promise<void>;
  /** @throws {UnwindError} DirtyDatabase, where it is not this step's turn or the ledger does not say what it must. */
  skipStep(input: SkipStepActivityInput): Promise<void>;
  recordRelease(input: RecordReleaseInput): Promise<RecordReleaseResult>;
  verifyRelease(input: VerifyReleaseInput): Promise<VerifyReleaseResult>;
  recordDecision(input: RecordDecisionInput): Promise<void>;
  endRun(input: EndRunInput): Promise<void>;
  /** Who polls a task queue of the user's. */
  askPollers(input: AskPollersInput): Promise<{ readonly pollers: readonly Poller[] }>;
}
