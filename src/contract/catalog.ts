import type { ScriptFacts } from './script.js';

/** A migration's id as its format writes it. Compared by the database's `idOrder`, never by JavaScript's `<`. */
export type MigrationId = string;
export type DatabaseName = string;

export type IdOrder = 'numeric' | 'string';

/** Unique among the data migrations of a product; compared naturally (`2` before `10`). */
export type DataMigrationId = string;

/** One text that an id has had in one direction, and the labels that carried it. */
export interface ScriptVersion {
  readonly sha256: string;
  /** Indexes into `Catalog.labels`, as closed ranges `[first, last]`, ascending. */
  readonly carriedBy: readonly (readonly [number, number])[];
}

export interface CatalogMigration {
  readonly id: MigrationId;
  readonly name: string;
  /** Ascending in `idOrder`. Of a squashed root: those that it had before the squash. */
  readonly parents: readonly MigrationId[];
  readonly privileged: boolean;
  readonly nonIdempotent: boolean;
  /** From the metadata: blocking transactions may be ended while this migration waits for its locks. */
  readonly terminateBlockers: boolean;
  /** Index built concurrently by the up script, as the format declares it. */
  readonly concurrentIndex: { readonly index: string; readonly table: string } | null;
  /** Oldest first; the newest is the last. Texts that a squash wrote over the id's own are not among them. */
  readonly up: readonly ScriptVersion[];
  readonly down: readonly ScriptVersion[];
}

export interface CatalogDatabase {
  readonly name: DatabaseName;
  readonly idOrder: IdOrder;
  /** In topological order: Kahn, smallest free id first. */
  readonly migrations: readonly CatalogMigration[];
  /**
   * Roots that stood for earlier migrations in some release. An instance born after such a squash has only the root in its
   * ledger: its ancestors are read as applied.
   */
  readonly squashRoots: readonly MigrationId[];
}

/** The queries of a handler for authors who know SQL only: hashes of texts in `scripts/`. */
export interface SqlHandler {
  readonly kind: 'sql';
  /** No parameter; one row, one number from 0 to 1: the share of the data that is in the newer form. */
  readonly progress: string;
  /** One batch: `$1` how many rows at most, `$2` the cursor (text; null at first). One row: `rows`, `cursor`. */
  readonly forward: string;
  readonly reverse: string | null;
  /** At the end of a direction: one row, one boolean. */
  readonly verifyForward: string | null;
  readonly verifyReverse: string | null;
}

/** An activity of the product's own, in any language (docs/data-migrations.md). */
export interface ActivityHandler {
  readonly kind: 'activity';
  readonly taskQueue: string;
  readonly type: string;
  /** It calls `pgunwind.batch_done` in its own transactions; otherwise its batches must be idempotent, and the plan says so. */
  readonly exactlyOnce: boolean;
  /** One call, which may do many batches; left out: ten minutes. */
  readonly callTimeoutSeconds?: number;
  /** A worker that sends no heartbeat for this long is taken for dead; left out: found out when the call's time is over. */
  readonly heartbeatSeconds?: number;
  /** At one call, before the run parks; left out: eight, which takes a minute and a half where each fails at once. */
  readonly maximumAttempts?: number;
}

export type DataHandler = SqlHandler | ActivityHandler;

/** One definition that an id has had, and the labels that carried it. */
export interface DataHandlerVersion {
  readonly handler: DataHandler;
  /** Indexes into `Catalog.labels`, as closed ranges `[first, last]`, ascending. */
  readonly carriedBy: readonly (readonly [number, number])[];
}

/** Code that moves rows from the form of one release to that of a later one in batches, and perhaps back. */
export interface CatalogDataMigration {
  readonly id: DataMigrationId;
  readonly database: DatabaseName;
  readonly description: string;
  readonly team: string | null;
  /** Label of the first release that may run it. */
  readonly introduced: string;
  /** Label of the first release that can read nothing but the newer form; null: none so far. */
  readonly deprecated: string | null;
  /** How it goes back: `reversible` has a reverse; `notNeeded`: older releases read the newer form too; `irreversible`. */
  readonly reversal: 'reversible' | 'notNeeded' | 'irreversible';
  /** For people: rows that a forward run touches, as the author expects them. */
  readonly estimatedRows: number | null;
  /** Oldest first; the newest is the last. The fields above are those of the newest definition. */
  readonly handlers: readonly DataHandlerVersion[];
}

export interface CatalogLabel {
  /** The version as published: a tag, or the name given at build. */
  readonly label: string;
  /** ISO 8601, UTC; null where the source has no dates (folders). */
  readonly publishedAt: string | null;
}

/** A release is its id sets. Labels with the same sets in all databases are one release. */
export interface CatalogRelease {
  /** Indexes into `Catalog.labels`; the first is the first published one. */
  readonly labels: readonly number[];
  /** Per database: indexes into that database's `migrations`, as closed ranges, ascending. The effective (stitched) set. */
  readonly sets: Readonly<Record<DatabaseName, readonly (readonly [number, number])[]>>;
}

/** `catalog.json`. Deterministic: the same source gives the same bytes. */
export interface Catalog {
  readonly catalogFormat: 1;
  readonly product: string;
  readonly format: string;
  readonly databases: readonly CatalogDatabase[];
  /** In the order of the source: version order for tags and folders. */
  readonly labels: readonly CatalogLabel[];
  /** By size of the sets, smallest first; ties by first label. */
  readonly releases: readonly CatalogRelease[];
  /** Facts by sha-256 of the script. */
  readonly scripts: Readonly<Record<string, ScriptFacts>>;
  /** In the natural order of their ids; left out where a product has none. Their texts are in `scripts/`, not in `scripts`. */
  readonly dataMigrations?: readonly CatalogDataMigration[];
}

/** One broken rule of a source. All of them are reported together. */
export interface SourceProblem {
  /** `V1` … `V8` (reference sourcegraph-migrator.md §1.3), or a rule of ours: `text`, `refused`, `label`, `data`. */
  readonly rule: string;
  readonly class: string;
  /** Path inside the source, with the release label in front where there are several. */
  readonly file: string | null;
  readonly database: DatabaseName | null;
  readonly ids: readonly MigrationId[];
  readonly message: string;
}
