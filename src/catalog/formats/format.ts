import type { DatabaseName, IdOrder, MigrationId, SourceProblem } from '../../contract/catalog.js';

/** The files of one release, below the folder of its migrations. */
export interface Tree {
  /** Equal for trees of equal content, so that each is read once. */
  readonly key: string;
  /** By path with `/`. Equal files of different trees are one and the same buffer. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** One direction of a migration: its canonical text, and the file it came from. */
export interface DefinitionText {
  readonly file: string;
  /** Line of the file on which the canonical text begins, from 1. */
  readonly line: number;
  readonly text: string;
  readonly sha256: string;
}

/** A migration as one release's files define it. */
export interface Definition {
  readonly id: MigrationId;
  readonly name: string;
  /** Ascending, each once. */
  readonly parents: readonly MigrationId[];
  readonly privileged: boolean;
  readonly nonIdempotent: boolean;
  readonly terminateBlockers: boolean;
  readonly concurrentIndex: { readonly index: string; readonly table: string } | null;
  /** The files say that it stands for migrations of earlier releases. */
  readonly squashed: boolean;
  readonly up: DefinitionText;
  readonly down: DefinitionText;
}

export interface DatabaseDefinitions {
  readonly name: DatabaseName;
  /** Ascending in the format's order. */
  readonly migrations: readonly Definition[];
}

export interface FormatReading {
  readonly databases: readonly DatabaseDefinitions[];
  /** Every broken rule; the definitions are complete only when there is none. */
  readonly problems: readonly SourceProblem[];
}

/** A way of laying migrations out in files. */
export interface Format {
  readonly name: string;
  readonly idOrder: IdOrder;
  /** `database` names the one database of a tree that has no folder for it. */
  read(tree: Tree, database: DatabaseName): Promise<FormatReading>;
}
