import type { ScriptFacts } from './script.js';

/** A migration's id as its format writes it. Compared by the database's `idOrder`, never by JavaScript's `<`. */
export type MigrationId = string;
export type DatabaseName = string;

export type IdOrder = 'numeric' | 'string';

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
}

/** One broken rule of a source. All of them are reported together. */
export interface SourceProblem {
  /** `V1` … `V8` (reference sourcegraph-migrator.md §1.3), or a rule of ours: `text`, `refused`, `label`. */
  readonly rule: string;
  readonly class: string;
  /** Path inside the source, with the release label in front where there are several. */
  readonly file: string | null;
  readonly database: DatabaseName | null;
  readonly ids: readonly MigrationId[];
  readonly message: string;
}
