import type { DataStepRef, DataSubject } from './activities.js';
import type { DataBeat } from './data-activities.js';
import type { DatabaseName, DataMigrationId, MigrationId } from './catalog.js';
import type { AcceptableCode, DirtyReason } from './dirty.js';
import type { Estimate } from './estimate.js';
import type { HaltHook, HookKind } from './hooks.js';
import type { LossSummary, RestorePoint } from './losses.js';
import type { Direction, PlanId } from './plan.js';
import type { RunOptionsGiven } from './run-options.js';
import type { Writer } from './writers.js';

/** Names of the messages of an instance's workflow; the definitions with their handlers are in src/workflows. */
export const QueryName = { status: 'status' } as const;
export const UpdateName = {
  approve: 'approve',
  retryStep: 'retryStep',
  acceptDirty: 'acceptDirty',
  skipStep: 'skipStep',
  pause: 'pause',
  resume: 'resume',
  continue: 'continue',
  abort: 'abort',
  turnBack: 'turnBack',
  setOptions: 'setOptions',
} as const;
export type UpdateName = (typeof UpdateName)[keyof typeof UpdateName];

/**
 * - `planning`: reading ledgers, computing and storing the plan.
 * - `awaitingApproval`: the plan destroys; waits for `approve` with its id.
 * - `running`: steps are being carried out.
 * - `needsOperator`: parked; `parked` says what was found and which updates go on.
 * - `paused`: by an operator; what runs ends first, nothing begins before `resume`.
 * - `waiting`: for sessions of others to end, before a leg begins (`options.writers`).
 * - `atStop`: at a release that `via` names, or at a hook before the first or behind the last step: calls it, or waits for `continue`.
 * - `verifying`: a leg's release is being recorded and verified.
 * - `turningBack`: what runs ends, then the instance goes back to where the run began.
 * - `completed`, `aborted`, `cancelled`: the end.
 */
export type RunState =
  | 'planning'
  | 'awaitingApproval'
  | 'running'
  | 'needsOperator'
  | 'paused'
  | 'atStop'
  | 'waiting'
  | 'verifying'
  | 'turningBack'
  | 'completed'
  | 'aborted'
  | 'cancelled';

/** Why a database (or the whole run) waits for a person. */
export interface Parked {
  /** null: the whole instance (planning, claims). */
  readonly database: DatabaseName | null;
  readonly seq: number | null;
  /** Of a schema migration, or of a data migration where `during` is `data`. */
  readonly migration: MigrationId | null;
  readonly during: 'plan' | 'claim' | 'check' | 'step' | 'data' | 'release' | 'verify' | 'hook';
  /** A FailureType, or `DirtyDatabase` with `reasons`. */
  readonly failure: string;
  readonly message: string;
  readonly reasons: readonly DirtyReason[];
  /** 1-based, where the databases were being compared with a release. */
  readonly leg?: number;
  /** ISO 8601, workflow time. */
  readonly since: string;
}

export interface DatabaseProgress {
  readonly done: number;
  readonly total: number;
  /** How many of them are done at the end of each leg; left out where there is one leg. */
  readonly boundaries?: readonly number[];
  /** The step being carried out, or the next one. */
  readonly current: { readonly seq: number; readonly migration: MigrationId; readonly name: string } | null;
  readonly lastCheck: { readonly clean: boolean; readonly how: string; readonly at: string } | null;
}

/** A data migration of the leg that is being carried out. */
export interface DataProgress extends DataStepRef {
  readonly database: DatabaseName;
  /** Its figures are in the heartbeat of the activity with this id, unless `figures` are here. */
  readonly activityId: string;
  readonly running: boolean;
  /** Of one that calls of the product's own move: as the run has heard. */
  readonly figures?: (Pick<DataBeat, 'doing'> & Partial<DataBeat>) | null;
  /** As the estimate counts it; null: nobody knows. Left out where nothing is to be moved any more, or nothing is estimated. */
  readonly secondsLeft?: number | null;
}

/** The hook at which a run is. */
export interface HookProgress {
  readonly name: HaltHook;
  readonly kind: HookKind;
  /** `calling`: until it has answered; `waiting`: it has answered that somebody will send `continue`. */
  readonly state: 'calling' | 'waiting';
  /** Of the call, while it is pending. */
  readonly activityId: string;
}

export interface Decision {
  readonly kind: string;
  readonly by: string | null;
  readonly why: string | null;
  readonly at: string;
}

/** Answer of the query `status` and of every update. */
export interface StatusReport {
  readonly instance: string;
  readonly direction: Direction;
  readonly state: RunState;
  readonly plan: PlanId | null;
  readonly run: string;
  readonly from: string | null;
  readonly to: string;
  /** 1-based leg that is being carried out, of `legs`. */
  readonly leg: number | null;
  readonly legs: number;
  /** The release that the current leg leads to. */
  readonly release: string | null;
  readonly stepsDone: number;
  /** Schema and data migrations. */
  readonly stepsTotal: number;
  readonly databases: Readonly<Record<DatabaseName, DatabaseProgress>>;
  /** Of the current leg, once its schema stands; empty where it has none. */
  readonly data: readonly DataProgress[];
  /** Sessions of others that the run waits for; left out in every other state. */
  readonly writers?: readonly Writer[];
  /** Left out where the run is at none. */
  readonly hook?: HookProgress;
  /** What consent is asked for; left out in every other state. */
  readonly losses?: LossSummary;
  /** Where a point-in-time restore has to go; left out as long as nothing is destroyed. */
  readonly restorePoints?: Readonly<Record<DatabaseName, RestorePoint>>;
  /** What `setOptions` has changed; left out where nothing was. */
  readonly options?: RunOptionsGiven;
  readonly waitingFor: string | null;
  /** ISO 8601; null where somebody has to decide first, where a part of the work is unknown, and where the run ends otherwise. */
  readonly estimatedEnd: string | null;
  /** Left out before there is a plan, and where the run will not go on to its end. */
  readonly estimate?: Estimate;
  readonly parked: readonly Parked[];
  readonly decisions: readonly Decision[];
  readonly warnings: readonly string[];
  readonly drift: Readonly<Record<DatabaseName, readonly string[]>>;
  /** Of the run of one data migration by itself; what the plan knows of it, once there is one. */
  readonly dataMigration?: Pick<DataSubject, 'id' | 'direction'> & Partial<DataSubject>;
}

export interface ApproveInput {
  readonly plan: PlanId;
  readonly by?: string;
  readonly why?: string;
}

export interface RetryStepInput {
  /** Needed only when several databases are parked. */
  readonly database?: DatabaseName;
  readonly by?: string;
  readonly why?: string;
}

export interface AcceptDirtyInput {
  readonly code: AcceptableCode;
  /** Needed only when several databases are parked. */
  readonly database?: DatabaseName;
  readonly why: string;
  readonly by?: string;
}

/** `record`: the product's row is written as if the step had succeeded; `keep`: it says so already. */
export type LedgerTreatment = 'record' | 'keep';

export interface SkipStepInput {
  readonly ledger: LedgerTreatment;
  /** Needed only when several databases are parked. */
  readonly database?: DatabaseName;
  readonly why: string;
  readonly by?: string;
}

export interface PauseInput {
  readonly by?: string;
  readonly why?: string;
}

export interface ResumeInput {
  readonly by?: string;
  readonly why?: string;
}

export interface ContinueInput {
  /** Guard: the release at which the run is believed to wait. */
  readonly release?: string;
  readonly by?: string;
  readonly why?: string;
}

export interface AbortInput {
  /** `boundary`: when all databases stand at the next release; left out: `now`, as soon as what runs has ended. */
  readonly at?: 'now' | 'boundary';
  readonly by?: string;
  readonly why?: string;
}

export interface TurnBackInput {
  readonly by?: string;
  readonly why?: string;
}

export interface SetOptionsInput extends RunOptionsGiven {
  readonly by?: string;
  readonly why?: string;
}

/** Result of the workflow; its failure is a Temporal failure with a FailureType. */
export interface UnwindReport {
  readonly instance: string;
  readonly direction: Direction;
  readonly outcome: 'completed' | 'alreadyThere' | 'aborted';
  /** null: aborted before there was one. */
  readonly plan: PlanId | null;
  readonly run: string;
  readonly from: string | null;
  readonly to: string;
  /** The last release boundary that all databases reached and that was verified; null: none. */
  readonly standsAt: string | null;
  readonly stepsDone: number;
  readonly stepsTotal: number;
  /** Per leg: what was done and what was not reached. */
  readonly legs: readonly {
    readonly release: string;
    readonly closed: boolean;
    readonly done: Readonly<Record<DatabaseName, number>>;
    readonly notReached: Readonly<Record<DatabaseName, readonly MigrationId[]>>;
    /** Its data migrations; left out where it has none. */
    readonly data?: {
      readonly done: Readonly<Record<DatabaseName, number>>;
      readonly notReached: Readonly<Record<DatabaseName, readonly DataMigrationId[]>>;
    };
  }[];
  /** Where a point-in-time restore has to go; left out where nothing was destroyed. */
  readonly restorePoints?: Readonly<Record<DatabaseName, RestorePoint>>;
  readonly decisions: readonly Decision[];
  readonly warnings: readonly string[];
  readonly drift: Readonly<Record<DatabaseName, readonly string[]>>;
  /** Of the run of one data migration by itself: what became of it. `alreadyThere` is the outcome where no row was to be moved. */
  readonly dataMigration?: DataSubject & {
    readonly rows: number;
    readonly batches: number;
    /** As computed from the data at the end; null where it was not reached. */
    readonly progress: number | null;
  };
}
