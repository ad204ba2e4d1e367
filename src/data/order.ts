import type { PlannedDataStep } from '../contract/plan.js';
import type { DatabaseName, DataMigrationId } from '../contract/catalog.js';
import type { DataBeat } from '../contract/data-activities.js';

/** The queries that one direction of a data migration needs; docs/data-migrations.md tells what each answers. */
export interface DataQueries {
  readonly progress: string;
  readonly batch: string;
  readonly verify: string | null;
}

/** One data migration as an attempt is told to carry it to its end. Everything in it but `attempt` is the same for every attempt. */
export interface DataOrder {
  readonly run: string;
  /** 0-based. */
  readonly leg: number;
  readonly database: DatabaseName;
  readonly id: DataMigrationId;
  /** `leave` and `lose` move nothing (leave-data.ts). */
  readonly act: PlannedDataStep['act'];
  readonly queries: DataQueries;
  /** Fence token that the workflow handed out. */
  readonly token: string;
  /** Temporal's attempt number. */
  readonly attempt: number;
}

export interface DataLimits {
  /** What a batch should take: the next one is as much larger or smaller. Milliseconds. */
  readonly targetMs: number;
  /** Rows of the first batch. */
  readonly firstRows: number;
  readonly mostRows: number;
  /** Batches that say they did something while the data does not move: then a person is asked. */
  readonly stallBatches: number;
  /** Failed attempts in a row at one batch that a repeat may cure, before the whole attempt is ended and repeated with a back-off. */
  readonly triesPerBatch: number;
  /** Share of the time that may go into asking the data how far it is. */
  readonly progressShare: number;
  /** A standby that replays more than this behind lets the batches wait; null: nobody asks. */
  readonly maxReplicationLagSeconds: number | null;
  /** A query of the operator's on this database, which gives a number; above `limit` the batches wait. */
  readonly maxLoad: MaxLoad | null;
  /** Sessions that queue behind a batch's locks make the next ones smaller, with a pause before each. */
  readonly pauseWhenLocksWait: boolean;
}

export interface MaxLoad {
  readonly query: string;
  readonly limit: number;
}

export const DATA_LIMITS: DataLimits = {
  targetMs: 500,
  firstRows: 1_000,
  mostRows: 50_000,
  stallBatches: 50,
  triesPerBatch: 5,
  progressShare: 0.05,
  maxReplicationLagSeconds: null,
  maxLoad: null,
  pauseWhenLocksWait: true,
};

export interface DataContext {
  /** Told after each batch, and while one runs; becomes a heartbeat. */
  readonly tell: (beat: DataBeat) => void;
  readonly pause: (ms: number) => Promise<void>;
  /** Aborted on cancellation and worker shutdown: the batch under way is cancelled on the server. */
  readonly signal: AbortSignal;
  readonly limits?: Partial<DataLimits>;
  readonly metrics?: DataMetrics;
}

/** What is counted for whoever watches many instances at once. */
export interface DataMetrics {
  /** A batch is durable. */
  batch(rows: number, tookMs: number): void;
  /** As the data says it, 0 to 1. */
  progress(value: number): void;
}
