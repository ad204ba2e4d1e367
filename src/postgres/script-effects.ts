import type { Node } from 'libpg-query';

import type { Destruction, ScriptNote } from '../contract/script.js';
import { callsIn, isAdvisory, isBuiltin, isSessionSetting } from './script-calls.js';
import { destructionsInWords, destructionsOf, found, temporariesOf } from './script-destroys.js';
import { tryParse, words, type Statement } from './script-parse.js';
import { readBlock, type Body, type Routine } from './script-plpgsql.js';
import { refusalOf } from './script-refusals.js';
import { remaindersOf, type Remainder } from './script-session.js';

type Certainty = Destruction['certainty'];
type NoteCode = ScriptNote['code'];

/** What the script as a whole knows while one statement of it is looked at. */
export interface Surroundings {
  /** By bare name: overloads and schemas are not told apart, all of a name are looked at. */
  readonly routines: ReadonlyMap<string, readonly Routine[]>;
  readonly temporary: ReadonlySet<string>;
}

/** What may happen when a statement runs. */
export interface Effects {
  readonly destroys: Destruction[];
  readonly notes: Set<NoteCode>;
  /** Why the engine does not run a script with it. */
  readonly refusals: string[];
  /** What it leaves in its session. */
  readonly remainders: Remainder[];
  countAfresh: boolean;
  /** Why nobody can look between its transactions; null: it ends none. */
  opaque: string | null;
  /** Runs code whose text is not known here. */
  runsUnknown: boolean;
}

/** How a statement is reached. */
interface Way extends Surroundings {
  readonly certainty: Certainty;
  /** Routines on the way in: recursion adds nothing. */
  readonly entered: ReadonlySet<string>;
  /** Below a function no transaction can end, only below DO and CALL. */
  readonly mayEnd: boolean;
}

/** What running the statement may do, through blocks, calls and dynamic SQL as far as their texts are at hand. */
export function effectsOf(statement: Statement, surroundings: Surroundings): Effects {
  const effects: Effects = {
    destroys: [],
    notes: new Set(),
    refusals: [],
    remainders: [],
    countAfresh: false,
    opaque: null,
    runsUnknown: false,
  };
  add(effects, statement, { ...surroundings, certainty: 'certain', entered: new Set(), mayEnd: true });
  return effects;
}

function add(effects: Effects, statement: Statement, way: Way): void {
  const { node } = statement;
  const certain = way.certainty === 'certain';
  for (const each of destructionsOf(node, way.temporary)) {
    effects.destroys.push({ ...each, certainty: way.certainty });
  }
  const refusal = refusalOf(node);
  if (refusal !== null) effects.refusals.push(refusal);
  effects.remainders.push(...remaindersOf(node, certain));
  if (temporariesOf(node).length > 0 || makesTemporaryFunction(node)) {
    effects.notes.add('tempObjects');
    effects.countAfresh = true;
  }
  if ('TransactionStmt' in node) effects.countAfresh = true; // only savepoints get here
  if ('LockStmt' in node) effects.notes.add('mentionsLock');
  if ('VariableSetStmt' in node && node.VariableSetStmt.is_local !== true) {
    const setsRole = ['role', 'session_authorization'].includes(node.VariableSetStmt.name ?? '');
    effects.notes.add(setsRole ? 'setsRole' : 'sessionSettings');
  }
  if ('DoStmt' in node) addBody(effects, readBlock(statement), 'a DO block', way);
  if ('CallStmt' in node) addCall(effects, words(node.CallStmt.funccall?.funcname).at(-1) ?? '?', way);
  for (const call of callsIn(node)) {
    if (isAdvisory(call)) effects.notes.add('mentionsLock');
    if (call.name === 'lo_unlink') effects.destroys.push({ ...LARGE_OBJECTS, certainty: way.certainty });
    if (isSessionSetting(call)) effects.notes.add('sessionSettings');
    if (isBuiltin(call)) continue;
    if ('SelectStmt' in node || !certain) effects.countAfresh = true;
    if (!('CallStmt' in node)) enter(effects, call.name, 'a function', { ...way, mayEnd: false });
  }
}

function makesTemporaryFunction(node: Node): boolean {
  return 'CreateFunctionStmt' in node && words(node.CreateFunctionStmt.funcname)[0] === 'pg_temp';
}

/** Looks into the routines of that name; false: the script creates none. */
function enter(effects: Effects, name: string, what: string, way: Way): boolean {
  const routines = way.routines.get(name);
  if (routines === undefined) {
    effects.runsUnknown = true;
    return false;
  }
  if (!way.entered.has(name)) {
    const deeper = { ...way, entered: new Set(way.entered).add(name) };
    for (const { body } of routines) addBody(effects, body, what, deeper);
  }
  return true;
}

/** Everyone may count these; the objects themselves only a superuser. */
const LARGE_OBJECTS = found('rows', 'pg_catalog.pg_largeobject_metadata');

/** A procedure may end transactions, and what it does to the catalogs and to rows is not known before it runs. */
function addCall(effects: Effects, name: string, way: Way): void {
  effects.countAfresh = true;
  if (enter(effects, name, `procedure ${name}`, way)) return;
  effects.destroys.push({ kind: 'other', object: '?', loss: 'data', cascade: false, certainty: 'unknown' });
  if (way.mayEnd) effects.opaque ??= `procedure ${name} is not created by this script and may end transactions`;
}

function addBody(effects: Effects, body: Body, what: string, way: Way): void {
  if (body.endsTransactions && way.mayEnd) effects.opaque ??= `${what} ends transactions itself`;
  if (body.catches || body.dynamic || body.unreadable) effects.countAfresh = true;
  if (body.dynamic || body.unreadable) effects.runsUnknown = true;
  if (body.swallows) effects.notes.add('swallowsErrors');
  if (body.dynamic) effects.notes.add('dynamicSql');
  for (const inner of body.statements) add(effects, inner, { ...way, certainty: 'possible' });
  for (const text of body.words.split('\n;\n')) addDynamic(effects, text, way);
}

/** A made text that is constant as a whole can be read like any other; of the rest only the words are known. */
function addDynamic(effects: Effects, text: string, surroundings: Surroundings): void {
  const whole = /[%$]/.test(text) ? null : tryParse(text);
  if (whole !== null) {
    for (const { node } of whole) {
      for (const each of destructionsOf(node, surroundings.temporary)) {
        effects.destroys.push({ ...each, certainty: 'possible' });
      }
    }
    return;
  }
  for (const each of destructionsInWords(text)) effects.destroys.push({ ...each, certainty: 'unknown' });
}

const NOTES: Readonly<Record<NoteCode, string>> = {
  swallowsErrors: 'An exception block passes over errors: the script can succeed without having done its work.',
  dynamicSql: 'Makes statements at run time: what they do is not known from the text.',
  tempObjects: 'Makes temporary objects.',
  sessionSettings: 'Changes settings of its session.',
  setsRole: 'Changes the role of its session.',
  mentionsLock: 'Takes locks explicitly.',
};

export function notesOf(codes: ReadonlySet<NoteCode>): ScriptNote[] {
  return [...codes].sort().map((code) => ({ code, text: NOTES[code] }));
}
