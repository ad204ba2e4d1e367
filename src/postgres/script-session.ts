import type { Node } from 'libpg-query';

import type { Unit } from '../contract/script.js';
import { callsIn, isSessionSetting } from './script-calls.js';
import { temporariesOf } from './script-destroys.js';
import { isTemporary, words, type Statement } from './script-parse.js';
import type { Analysed } from './script.js';

/** Something that lives as long as the session, and the word by which a later statement would use it. */
export interface Remainder {
  readonly what: string;
  /** Null: it acts without being named. */
  readonly word: string | null;
}

/**
 * What a later unit may need of an earlier one and no later attempt can bring back. A later unit needs it when it has the
 * name anywhere in its text, or runs code whose text is not known.
 */
export function sessionStateOf(units: readonly Unit[], analysed: readonly Analysed[], bytes: Buffer): string[] {
  if (units.length < 2) return [];
  const crossing = new Set<string>();
  const earlier: Remainder[] = [];
  for (const [index, unit] of units.entries()) {
    const members = analysed.filter(
      ({ statement: { span } }) => unit.span.start <= span.start && span.end <= unit.span.end,
    );
    if (index > 0) {
      const text = bytes.toString('utf8', unit.span.start, unit.span.end).toLowerCase();
      const unknown = members.some(({ effects }) => effects.runsUnknown);
      for (const { what, word } of earlier) {
        if (word === null || unknown || text.includes(word.toLowerCase())) crossing.add(what);
      }
      if (members.some(({ statement }) => usesLastValue(statement))) crossing.add('currval or lastval of a sequence');
    }
    earlier.push(...members.flatMap(({ effects }) => effects.remainders));
  }
  return [...crossing].sort();
}

function usesLastValue({ node }: Statement): boolean {
  return callsIn(node).some(({ name }) => name === 'currval' || name === 'lastval');
}

/** `CURSOR_OPT_HOLD` of the server's parser: the cursor outlives its transaction. */
const CURSOR_HOLD = 0x0020;

/** What running the statement leaves in its session. `alone`: a statement of the script itself, not of a body in it. */
export function remaindersOf(node: Node, alone: boolean): Remainder[] {
  if ('CreateStmt' in node && node.CreateStmt.oncommit === 'ONCOMMIT_DROP') return [];
  if ('CreateTableAsStmt' in node && node.CreateTableAsStmt.into?.onCommit === 'ONCOMMIT_DROP') return [];
  if ('PrepareStmt' in node) {
    const name = node.PrepareStmt.name ?? '';
    return [{ what: `prepared statement ${name}`, word: name }];
  }
  if ('DeclareCursorStmt' in node) {
    const { portalname: name = '', options = 0 } = node.DeclareCursorStmt;
    return (options & CURSOR_HOLD) === 0 ? [] : [{ what: `cursor ${name}`, word: name }];
  }
  if ('CreateFunctionStmt' in node && words(node.CreateFunctionStmt.funcname)[0] === 'pg_temp') {
    const name = words(node.CreateFunctionStmt.funcname).at(-1) ?? '';
    return [{ what: `temporary function ${name}`, word: name }];
  }
  if ('IndexStmt' in node && isTemporary(node.IndexStmt.relation)) return [];
  const left = temporariesOf(node).map((name): Remainder => ({ what: `temporary relation ${name}`, word: name }));
  const calls = callsIn(node);
  if (calls.some(({ name }) => /^pg_(try_)?advisory_lock(_shared)?$/.test(name))) {
    left.push({ what: 'advisory lock', word: null });
  }
  // As a query of its own it is repeated with the settings; in the middle of something else it cannot be.
  const sets = calls.some(isSessionSetting) || ('VariableSetStmt' in node && node.VariableSetStmt.is_local !== true);
  if (sets && !(alone && ('SelectStmt' in node || 'VariableSetStmt' in node))) {
    left.push({ what: 'setting made inside another statement', word: null });
  }
  return left;
}
