import type { BlockerPolicy, EndedSession } from '../contract/blockers.js';
import type { DatabaseName, MigrationId } from '../contract/catalog.js';
import type { StepOutcome } from '../contract/activities.js';
import type { Direction } from '../contract/plan.js';
import type { Execution } from '../contract/script.js';
import type { RawCheck } from '../journal/answers.js';
import type { Script } from './database.js';
import type { WatchLimits } from './watch.js';

/** One step as an attempt is told to carry it out. Everything in it but `attempt` is the same for every attempt. */
export interface StepOrder {
  readonly run: string;
  readonly database: DatabaseName;
  readonly seq: number;
  readonly migration: MigrationId;
  readonly name: string;
  readonly direction: Direction;
  readonly execution: Execution;
  readonly privileged: boolean;
  /** The migration's own flag: whatever the policy, sessions in its way are ended. */
  readonly terminateBlockers: boolean;
  readonly script: Script;
  /** Fence token that the workflow handed out. */
  readonly token: string;
  /** Temporal's attempt number: a label, and the order among attempts with one token. */
  readonly attempt: number;
}

export interface AttemptContext {
  /** The last clean check of this database, if this worker has it; younger than 10 s or it is done again inside. */
  readonly check: RawCheck | null;
  /** Told what the attempt waits for; becomes a heartbeat. */
  readonly progress: (what: string) => void;
  /** Told which backend works, so that progress can be watched and a cancellation reach it. */
  readonly working: (backend: { pid: number } | null) => void;
  readonly pause: (ms: number) => Promise<void>;
  /** Aborted on cancellation and worker shutdown. */
  readonly signal: AbortSignal;
  /** The run's own policy about sessions in the way, in place of the instance's. */
  readonly blockers?: BlockerPolicy;
  /** Told of each session that was ended for the step's sake. */
  readonly onEnded?: (who: EndedSession, words: string) => void;
  /** Told at each look that finds the session waiting for a lock: the time since the look before. */
  readonly onWaited?: (ms: number) => void;
  /** How often the session is looked after, and when it counts as lost; the tests have no minutes. */
  readonly limits?: Partial<WatchLimits>;
}

export interface AppliedStep {
  readonly outcome: Omit<StepOutcome, 'check'>;
  /** The check that rode behind the commit; null when the step was found done. */
  readonly check: RawCheck | null;
}
