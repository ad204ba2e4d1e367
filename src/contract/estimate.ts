import type { DatabaseName, DataMigrationId } from './catalog.js';
import type { Execution } from './script.js';

/** What one database's journal says about the time that its earlier runs have taken. Milliseconds, by its server's clock. */
export interface Durations {
  /** By `seq` of the plan: this very text, in this direction, in this database. */
  readonly own: Readonly<Record<string, number>>;
  /** Any step of earlier runs. */
  readonly kinds: Partial<Readonly<Record<Execution, number>>>;
  /** From the end of a step to the begin of the next one: messages, and the check. Null: nobody knows, as below. */
  readonly gapMs: number | null;
  /** From the last step of a leg to the first of the next one. */
  readonly boundaryMs: number | null;
  /** From the last step to the end of the run. */
  readonly endMs: number | null;
  /** A whole way of a data migration, from one end to the other: `<id> forward`, `<id> reverse`. */
  readonly data: Readonly<Record<string, number>>;
}

/** What the parts of a plan should take, as the plan was made. Milliseconds. */
export interface Expected {
  /** Of each database, by `seq` (from 1) over all legs: the script, and what goes with a step. */
  readonly stepMs: Readonly<Record<DatabaseName, readonly number[]>>;
  /** Steps that this database has carried out before. */
  readonly known: number;
  /** At each release: the record and the verification. */
  readonly legMs: number;
  readonly endMs: number;
  /** Data migrations that move something; null: nothing is known of one. Left out where there are none. */
  readonly data?: readonly ExpectedData[];
}

export interface ExpectedData {
  /** 0-based. */
  readonly leg: number;
  readonly database: DatabaseName;
  readonly id: DataMigrationId;
  readonly ms: number | null;
}

/**
 * Where the figures come from: `earlierRuns`: most of the steps have run here before · `thisRun`: how fast this one is so far ·
 * `guess`: what such steps take elsewhere.
 */
export type EstimateBasis = 'earlierRuns' | 'thisRun' | 'guess';

/** Of the work only: nobody knows how long a person takes. */
export interface Estimate {
  /** Of work left at `asOf`, without what is `unknown`. */
  readonly seconds: number;
  /** The least that is left, however long what is under way takes. */
  readonly secondsAfterCurrent: number;
  /** ISO 8601, workflow time: when the run last heard of anything. */
  readonly asOf: string;
  readonly basis: EstimateBasis;
  /** What no figure is known for: `frontend data migration 12`. */
  readonly unknown: readonly string[];
}
