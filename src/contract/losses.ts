import type { DatabaseName, MigrationId } from './catalog.js';
import type { PlanId } from './plan.js';
import type { Destruction } from './script.js';

/** A figure of the data; `exact: false` where it is the server's own estimate (statistics, sizes of files). */
export interface Count {
  readonly value: number;
  readonly exact: boolean;
}

/** Where in a plan something is lost. */
export interface LossPlace {
  /** Index into `plan.legs`. */
  readonly leg: number;
  readonly database: DatabaseName;
  readonly seq: number;
  readonly migration: MigrationId;
  readonly name: string;
}

/**
 * - `goes`: the content is dropped or deleted, and no later up brings it back.
 * - `changes`: rows are rewritten in place; what they held before is gone.
 */
export type LossFate = 'goes' | 'changes';

/** One object of one database whose content a step loses, as the database that stands now knows it. */
export interface Loss extends LossPlace {
  readonly kind: Destruction['kind'];
  /** `public.jobs`, `public.users.email`: as the server names it; as the script does where the server knows no such object. */
  readonly object: string;
  readonly fate: LossFate;
  /** `certain` from the text; `possible` in a block or a function, or a part of the rows only; `unknown` for dynamic SQL. */
  readonly certainty: Destruction['certainty'];
  /** The object that takes it along, by CASCADE or because it is a part of it; null: the script names it itself. */
  readonly through: string | null;
  /**
   * - `there`: the database has it now.
   * - `notThere`: it has no such object now. An earlier step of the plan may make it; then it holds what that step put into it.
   * - `unnamed`: the text does not say which.
   */
  readonly found: 'there' | 'notThere' | 'unnamed';
  /** Rows of the table. Of `rows` and `rewrite`: at most so many. Null: not to be known in time, or not there. */
  readonly rows: Count | null;
  /** Of a column: rows in which it is not null. */
  readonly values: Count | null;
  /** Of a table with its indexes and TOAST, or of a column's values. */
  readonly bytes: Count | null;
}

/** Definitions that go: a later up holds them. */
export interface LostStructure extends LossPlace {
  readonly kind: Destruction['kind'];
  readonly object: string;
  readonly through: string | null;
}

/** What an earlier up took away and this way makes again: its structure returns, its content does not. */
export interface ReturnsEmpty extends LossPlace {
  readonly kind: 'table' | 'column';
  readonly object: string;
}

/** What nobody can know before it happens. */
export interface UnknownLoss extends LossPlace {
  readonly why: string;
}

export interface LossTotals {
  /** Each table once, however many steps drop or empty it; so for columns. */
  readonly tables: number;
  readonly columns: number;
  /** Rows of those tables, not of the columns. */
  readonly rows: Count;
  readonly bytes: Count;
}

/** What a plan loses, read from its scripts and from the databases that it is for. Figures only: no content. */
export interface LossReport {
  readonly plan: PlanId;
  /** ISO 8601. */
  readonly takenAt: string;
  readonly losses: readonly Loss[];
  readonly structure: readonly LostStructure[];
  readonly returnsEmpty: readonly ReturnsEmpty[];
  readonly unknown: readonly UnknownLoss[];
  readonly totals: LossTotals;
  /** What stood in the way of counting, for people: `frontend: …`. */
  readonly remarks: readonly string[];
}

/** A report, short enough for a workflow: names and figures. */
export interface LossSummary {
  readonly takenAt: string;
  readonly totals: LossTotals;
  /** The first ten, the largest first, for people. */
  readonly largest: readonly string[];
  /** How many hold content now, or may. */
  readonly losses: number;
  readonly returnsEmpty: number;
  readonly unknown: number;
  readonly remarks: readonly string[];
}

/** Where a point-in-time restore of one database has to go to find what a run has destroyed. */
export interface RestorePoint {
  /** ISO 8601, of the server's clock. */
  readonly at: string;
  readonly lsn: string;
  readonly timeline: number;
  /** For `recovery_target_name`; null: this role may not name one, or the server keeps too little WAL for it. */
  readonly name: string | null;
}
