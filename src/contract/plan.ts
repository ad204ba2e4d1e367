import type { DatabaseName, DataHandler, DataMigrationId, MigrationId } from './catalog.js';
import type { Destruction, Execution } from './script.js';

export type Direction = 'down' | 'up';

/** Hex sha-256 over the plan's canonical JSON (RFC 8785) without `id`. Same catalog, applied sets and target: same id. */
export type PlanId = string;

export interface PlannedStep {
  /** 1-based position among the steps of this database over all legs: what people see as `43/259`. */
  readonly seq: number;
  readonly migration: MigrationId;
  readonly name: string;
  readonly execution: Execution;
  /** Hash of the text that runs; the text itself is in the journal (`pgunwind.script`). */
  readonly script: string;
  /** What the ledger says of the id before the step: a row of its own, or implied by a squashed root. For an up: absent. */
  readonly ledger: 'row' | 'implied' | 'absent';
  readonly privileged: boolean;
  readonly terminateBlockers: boolean;
  readonly destroys: readonly Destruction[];
  /** Transactions that the script falls into (1 for atomic). */
  readonly units: number;
}

/** A data migration, carried to one of its ends on the schema of the leg's release: the schema first, then the data. */
export interface PlannedDataStep {
  readonly id: DataMigrationId;
  readonly database: DatabaseName;
  readonly description: string;
  /** `forward` in a plan that goes up, `reverse` in one that goes down. */
  readonly direction: 'forward' | 'reverse';
  /** Why here: the release must lie in the window of all that share the stop. */
  readonly introduced: string;
  readonly deprecated: string | null;
  /**
   * What a plan that goes down does: `reverse` carries it back to 0; `leave` leaves the newer form, which the older releases
   * read too; `lose`: it cannot be reversed, and what has progressed stays in a form that older releases cannot read.
   */
  readonly act: 'forward' | 'reverse' | 'leave' | 'lose';
  /** The definition that runs: down the newest, up that of the target. */
  readonly handler: DataHandler;
  readonly estimatedRows: number | null;
}

/**
 * A plan whose first data migrations run on the schema of the start begins with a leg of the start's release: it has no schema
 * step, and its `setHash` is the applied one.
 */
export interface PlannedLeg {
  /** The release that stands when the leg is done: the label the user named, else the first published. */
  readonly release: string;
  /** Other labels of the same release, in the order of the catalog. */
  readonly aliases: readonly string[];
  /** One list per database of the instance; empty where the leg has nothing to do. */
  readonly steps: Readonly<Record<DatabaseName, readonly PlannedStep[]>>;
  /** Hex sha-256 over the comma-joined, ordered ids of the applied set that each database has after the leg. */
  readonly setHash: Readonly<Record<DatabaseName, string>>;
  /**
   * After the barrier, before the release is recorded; those of one database one after another, in this order. Left out where
   * there are none.
   */
  readonly data?: readonly PlannedDataStep[];
}

export interface PlanWarning {
  readonly code:
    | 'olderText'
    | 'implied'
    | 'emptyDown'
    | 'sessionState'
    | 'opaque'
    | 'notNested'
    | 'swallowsErrors'
    | 'idempotent'
    | 'left'
    | 'late';
  readonly database: DatabaseName | null;
  /** Of `idempotent`, `left` and `late`: the id of a data migration. */
  readonly migration: MigrationId | null;
  readonly text: string;
}

/** Immutable; stored in every database's journal before anything runs. */
export interface Plan {
  readonly planFormat: 1;
  readonly id: PlanId;
  readonly product: string;
  readonly direction: Direction;
  /** sha-256 of the catalog.json that it was made from. */
  readonly catalog: string;
  readonly from: {
    /** A release whose sets are exactly the applied ones, or null when the instance stands between releases. */
    readonly release: string | null;
    readonly setHash: Readonly<Record<DatabaseName, string>>;
  };
  readonly to: { readonly release: string; readonly aliases: readonly string[] };
  readonly databases: readonly DatabaseName[];
  /** Releases between start and target that are left out because they are not nested with the others. */
  readonly notNested: readonly string[];
  readonly legs: readonly PlannedLeg[];
  readonly warnings: readonly PlanWarning[];
}
