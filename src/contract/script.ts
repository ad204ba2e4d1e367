/** What the analysis of a script found (src/postgres/script.ts); kept in the catalog and in the journal, never in Temporal. */

/**
 * How a script is carried out; the step protocol has one way for each.
 * - `atomic`: one transaction together with its record.
 * - `segmented`: ends transactions itself (`COMMIT AND CHAIN`, `COMMIT; BEGIN`): one record per segment.
 * - `concurrent`: has statements that refuse a transaction block (`… CONCURRENTLY`): intent, statement, probe.
 * - `opaque`: commits where nobody can look (a DO block or procedure that commits): a death in the middle parks.
 * - `empty`: no statement at all.
 */
export type Execution = 'atomic' | 'segmented' | 'concurrent' | 'opaque' | 'empty';

/** Half-open range of UTF-8 byte offsets into the script's text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A name as written: unquoted and folded, schema null where the text names none. */
export interface ObjectName {
  readonly schema: string | null;
  readonly name: string;
}

/** A statement that refuses a transaction block, and what the catalogs must show when it is done. */
export type AloneAction =
  | {
      readonly kind: 'createIndex';
      /** null: the server chooses the name. */
      readonly index: string | null;
      readonly table: ObjectName;
      readonly ifNotExists: boolean;
    }
  | { readonly kind: 'dropIndex'; readonly index: ObjectName; readonly ifExists: boolean }
  | { readonly kind: 'reindex'; readonly what: 'index' | 'table'; readonly object: ObjectName }
  | { readonly kind: 'detachPartition'; readonly parent: ObjectName; readonly partition: ObjectName }
  /** May simply be run again (VACUUM, REINDEX of a schema or database, ALTER SYSTEM). */
  | { readonly kind: 'repeatable'; readonly what: string };

/** The pieces of a script in order. Transaction control of the text itself lies between the pieces, in none of them. */
export type Unit =
  | { readonly kind: 'transaction'; readonly span: Span; readonly statements: number }
  | { readonly kind: 'alone'; readonly span: Span; readonly action: AloneAction }
  | { readonly kind: 'opaque'; readonly span: Span; readonly why: string };

export interface Destruction {
  readonly kind:
    | 'table'
    | 'column'
    | 'rows' // DELETE, TRUNCATE
    | 'rewrite' // UPDATE, ALTER COLUMN … TYPE
    | 'type'
    | 'schema'
    | 'sequence'
    | 'materializedView'
    | 'view'
    | 'function'
    | 'index'
    | 'constraint'
    | 'policy'
    | 'trigger'
    | 'extension'
    | 'default'
    | 'other';
  /** `schema.table.column`-like, as far as the text names it; `?` where it is made at run time. */
  readonly object: string;
  /** `data`: content that a later up does not bring back. `structure`: definitions only, the ups hold them. */
  readonly loss: 'data' | 'structure';
  readonly cascade: boolean;
  /** `certain` from the text; `possible` in a DO block or a called function; `unknown` for dynamic SQL. */
  readonly certainty: 'certain' | 'possible' | 'unknown';
}

/** Something with room for content that a script makes, and does not fill itself. */
export interface Made {
  readonly kind: 'table' | 'column';
  readonly object: string;
}

/** Things a reader of the plan should know about a script. `code` is stable, `text` is for people. */
export interface ScriptNote {
  readonly code: 'swallowsErrors' | 'dynamicSql' | 'tempObjects' | 'sessionSettings' | 'setsRole' | 'mentionsLock';
  readonly text: string;
}

export interface ScriptFacts {
  /** Hex sha-256 of the canonical text (reference §1.2 for Sourcegraph's format) in UTF-8. */
  readonly sha256: string;
  readonly bytes: number;
  readonly statements: number;
  readonly execution: Execution;
  readonly units: readonly Unit[];
  /** Not null: the engine does not run this text, with the reason and what to change. */
  readonly refused: string | null;
  readonly destroys: readonly Destruction[];
  /** Left out where there is nothing. On the way down it is what an up took away, and it comes back without its content. */
  readonly makes?: readonly Made[];
  /**
   * Session state that a later unit needs from an earlier one and that dies with the session: temp tables, prepared
   * statements, cursors, currval. Not empty: a death between units parks (design §6, segmented).
   */
  readonly sessionState: readonly string[];
  /** Session-level `SET`s outside functions, in order: repeated before the remaining units by a later attempt. */
  readonly settings: readonly Span[];
  /** The script may undo part of itself or make temporary objects: the catalogs are counted afresh at its end (§7). */
  readonly countAfresh: boolean;
  readonly notes: readonly ScriptNote[];
}

/** Does the script lose content? Then its plan needs consent (promise 7). */
export function losesData(facts: Pick<ScriptFacts, 'destroys'>): boolean {
  return facts.destroys.some((destruction) => destruction.loss === 'data');
}
