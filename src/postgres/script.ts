import { createHash } from 'node:crypto';

import type { ScriptFacts, ScriptNote, Span } from '../contract/script.js';
import { callsIn, isSessionSetting } from './script-calls.js';
import { distinct, temporariesOf } from './script-destroys.js';
import { madeBy } from './script-makes.js';
import { effectsOf, notesOf, type Effects, type Surroundings } from './script-effects.js';
import { loadParser, parseStatements, type Statement } from './script-parse.js';
import { readBlock, readRoutine, type Routine } from './script-plpgsql.js';
import { sessionStateOf } from './script-session.js';
import { divide } from './script-units.js';

export { ScriptSyntaxError } from './script-parse.js';

/** The name of a text in catalogs and journals: hex sha-256 of its UTF-8 bytes. */
export function hashScript(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

/** A statement with what may happen when it runs. */
export interface Analysed {
  readonly statement: Statement;
  readonly effects: Effects;
}

/**
 * Reads a script with PostgreSQL's own parser, without a database. Deterministic: the same text gives the same facts.
 * Where the text cannot tell (dynamic SQL, procedures, other languages), the facts say the more cautious of the two.
 *
 * Spans exclude semicolons, and comments before a piece; a piece may end in a comment: put a line break and a semicolon after it.
 * @throws {ScriptSyntaxError} the text is not SQL, or is meant for psql.
 */
export async function analyseScript(text: string): Promise<ScriptFacts> {
  await loadParser();
  const statements = parseStatements(text);
  const surroundings = surroundingsOf(statements);
  const analysed = statements.map((statement): Analysed => {
    return { statement, effects: effectsOf(statement, surroundings) };
  });
  const bytes = Buffer.from(text, 'utf8');
  const refusals = new Set(analysed.flatMap(({ effects }) => effects.refusals));
  const { units, execution } = divide(
    analysed.map(({ statement, effects }) => ({ statement, opaque: effects.opaque })),
    bytes.length,
  );
  const ran = analysed.filter(({ statement }) => isIn(statement.span, units));
  const settings = ran.filter(({ statement }) => setsSession(statement)).map(({ statement }) => statement.span);
  const notes = new Set<ScriptNote['code']>(ran.flatMap(({ effects }) => [...effects.notes]));
  const makes = madeBy(
    ran.flatMap(({ statement }) => [statement, ...readBlock(statement).statements].map(({ node }) => node)),
  );
  return {
    sha256: hashScript(text),
    bytes: bytes.length,
    statements: ran.length,
    execution,
    units,
    refused: refusals.size === 0 ? null : [...refusals].join(' '),
    destroys: distinct(ran.flatMap(({ effects }) => effects.destroys)),
    ...(makes.length === 0 ? {} : { makes }),
    sessionState: sessionStateOf(units, ran, bytes),
    settings,
    countAfresh: ran.some(({ effects }) => effects.countAfresh),
    notes: notesOf(notes),
  };
}

function surroundingsOf(statements: readonly Statement[]): Surroundings {
  const routines = new Map<string, Routine[]>();
  for (const statement of statements) {
    const routine = readRoutine(statement);
    if (routine !== null) routines.set(routine.name, [...(routines.get(routine.name) ?? []), routine]);
  }
  const inBlocks = statements.flatMap((statement) => readBlock(statement).statements);
  return { routines, temporary: new Set([...statements, ...inBlocks].flatMap(({ node }) => temporariesOf(node))) };
}

/** Transaction control lies between the units. */
function isIn(span: Span, units: readonly { readonly span: Span }[]): boolean {
  return units.some((unit) => unit.span.start <= span.start && span.end <= unit.span.end);
}

/** `SET` and `RESET` that outlive their transaction, and queries that do nothing but `set_config(…, false)`. */
function setsSession({ node }: Statement): boolean {
  if ('VariableSetStmt' in node) return node.VariableSetStmt.is_local !== true;
  if (!('SelectStmt' in node) || node.SelectStmt.fromClause !== undefined) return false;
  const targets = node.SelectStmt.targetList ?? [];
  return (
    targets.length > 0 &&
    targets.every(
      (target) => 'ResTarget' in target && target.ResTarget.val !== undefined && 'FuncCall' in target.ResTarget.val,
    ) &&
    callsIn(node).every(isSessionSetting)
  );
}
