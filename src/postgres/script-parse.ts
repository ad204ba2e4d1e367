import { hasSqlDetails, loadModule, parseSync, type Node } from 'libpg-query';

import type { ObjectName, Span } from '../contract/script.js';

/** One statement of a text: its tree, its place without the semicolon and without comments before it, and its own words. */
export interface Statement {
  readonly node: Node;
  readonly span: Span;
  readonly text: string;
}

/** A text that PostgreSQL's own parser does not accept. Line and column count from 1, columns in code points. */
export class ScriptSyntaxError extends Error {
  readonly line: number;
  readonly column: number;
  /** The parser's words, without the place. */
  readonly reason: string;

  constructor(message: string, line: number, column: number) {
    super(`${message} (line ${line}, column ${column})`);
    this.name = 'ScriptSyntaxError';
    this.reason = message;
    this.line = line;
    this.column = column;
  }
}

/** The parser is WebAssembly and must be loaded once before any of the synchronous functions of these files. */
export async function loadParser(): Promise<void> {
  await loadModule();
}

/**
 * Splits a text as the server would. Requires `loadParser`.
 * @throws {ScriptSyntaxError} the server would reject the whole text, or it holds a psql meta-command.
 */
export function parseStatements(text: string): Statement[] {
  const zero = text.indexOf('\0');
  if (zero >= 0) throw syntaxError('a zero byte, at which the server would stop reading', text.slice(0, zero));
  if (text.trim() === '') return []; // the parser refuses an empty string
  const bytes = Buffer.from(text, 'utf8');
  const wholeEnd = Buffer.byteLength(text.trimEnd(), 'utf8');
  return (parsed(text).stmts ?? []).flatMap(({ stmt, stmt_location: start = 0, stmt_len: length = 0 }) => {
    if (stmt === undefined) return [];
    const end = length === 0 ? wholeEnd : start + length; // 0: the last one, not closed by a semicolon
    return [{ node: stmt, span: { start, end }, text: bytes.toString('utf8', start, end) }];
  });
}

function parsed(text: string) {
  try {
    return parseSync(text);
  } catch (error) {
    if (!hasSqlDetails(error)) throw error;
    // The parser's position counts code points.
    const before = Array.from(text)
      .slice(0, error.sqlDetails?.cursorPosition ?? 0)
      .join('');
    const meta = /^\\\w*/.exec(text.slice(before.length));
    throw syntaxError(meta ? `psql meta-command "${meta[0]}", which only psql understands` : error.message, before);
  }
}

function syntaxError(message: string, before: string): ScriptSyntaxError {
  const lines = before.split('\n');
  return new ScriptSyntaxError(message, lines.length, Array.from(lines.at(-1) ?? '').length + 1);
}

/** Like `parseStatements`, for pieces cut out of procedural code: null where they do not stand alone. */
export function tryParse(text: string): Statement[] | null {
  try {
    return parseStatements(text);
  } catch {
    return null; // read conservatively by the caller
  }
}

/** Visits every node of a tree, parents first; a visitor that answers false is not shown what lies below. */
export function walk(tree: unknown, visit: (node: Node) => boolean | void): void {
  if (Array.isArray(tree)) {
    for (const entry of tree) walk(entry, visit);
  } else if (typeof tree === 'object' && tree !== null) {
    const [key = ''] = Object.keys(tree);
    // A node is an object whose one key is its type, in capitals; its fields are in lower case.
    if (/^[A-Z]/.test(key) && visit(tree as Node) === false) return;
    for (const value of Object.values(tree)) walk(value, visit);
  }
}

/** The numbers of the parameters that a statement uses, each once, in order. */
export function parametersOf(tree: unknown): number[] {
  const numbers = new Set<number>();
  walk(tree, (inner) => {
    if ('ParamRef' in inner) numbers.add(inner.ParamRef.number ?? 0);
  });
  return [...numbers].sort((a, b) => a - b);
}

/** The parts of a dotted name: `[String, String]` of the parser as plain words. */
export function words(names: readonly Node[] | undefined): string[] {
  return (names ?? []).flatMap((name) =>
    'String' in name && name.String.sval !== undefined ? [name.String.sval] : [],
  );
}

export function dotted(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '').join('.');
}

interface RangeVarLike {
  readonly schemaname?: string | undefined;
  readonly relname?: string | undefined;
  readonly relpersistence?: string | undefined;
}

export function relationName(relation: RangeVarLike | undefined): string {
  return dotted(relation?.schemaname, relation?.relname) || '?';
}

export function objectName(relation: RangeVarLike | undefined): ObjectName {
  return { schema: relation?.schemaname ?? null, name: relation?.relname ?? '?' };
}

export function objectNameOf(parts: readonly string[]): ObjectName {
  return { schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '?' };
}

export function isTemporary(relation: RangeVarLike | undefined): boolean {
  return relation?.relpersistence === 't' || relation?.schemaname === 'pg_temp';
}

/** The value of an option such as `(concurrently off)`; absent is false, present without a value is true. */
export function isSwitchedOn(options: readonly Node[] | undefined, name: string): boolean {
  const value = optionOf(options, name);
  if (value === undefined) return false;
  if (value === null) return true;
  if ('String' in value) return !['off', 'false', '0', 'no'].includes((value.String.sval ?? '').toLowerCase());
  if ('Integer' in value) return value.Integer.ival !== undefined && value.Integer.ival !== 0;
  if ('Boolean' in value) return value.Boolean.boolval === true;
  return true;
}

/** The argument of an option; null: named without one; undefined: not named. The last one counts. */
export function optionOf(options: readonly Node[] | undefined, name: string): Node | null | undefined {
  let found: Node | null | undefined;
  for (const option of options ?? []) {
    if ('DefElem' in option && option.DefElem.defname === name) found = option.DefElem.arg ?? null;
  }
  return found;
}
