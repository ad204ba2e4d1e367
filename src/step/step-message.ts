import pg from 'pg';
import type { Unit } from '../contract/script.js';
import type { RawCheck } from '../journal/answers.js';
import { JOURNAL_VERSION } from '../journal/version.js';
import { applicationName } from './fence.js';
import type { StepOrder } from './order.js';

/** The two numbers of the product's lock; ours are constants of functions.sql. */
export interface LockKey {
  readonly classId: number;
  readonly objId: number;
}

const literal = (value: string) => pg.escapeLiteral(value);

/** Leaves whatever role the script took, so that the record is written as ourselves. */
export const AS_OURSELVES = 'reset session authorization; reset role;';

/** Own statements before the script's first in a message: `begin`, and `begin_step`, `resume_step` or `begin_unit`. */
export const OWN_STATEMENTS = 2;

const BEGIN = 'begin isolation level read committed;';

export function beginStep(order: StepOrder, lock: LockKey, check: RawCheck | null): string {
  return `select pgunwind.begin_step(${literal(JSON.stringify({ ...common(order, lock), check }))}::jsonb) as pgu_begin;`;
}

export function resumeStep(order: StepOrder, lock: LockKey, earlier: { run: string; seq: number }): string {
  const parameters = { ...common(order, lock), earlierRun: earlier.run, earlierSeq: earlier.seq };
  return `select pgunwind.resume_step(${literal(JSON.stringify(parameters))}::jsonb) as pgu_resume;`;
}

function common(order: StepOrder, lock: LockKey): Record<string, unknown> {
  return {
    run: order.run,
    seq: order.seq,
    token: order.token,
    attempt: order.attempt,
    journal: JOURNAL_VERSION,
    application: applicationName(order.token, order.attempt, order.seq),
    migration: order.migration,
    direction: order.direction,
    script: order.script.sha256,
    execution: order.execution,
    productClass: lock.classId,
    productObject: lock.objId,
  };
}

export function endStep(order: StepOrder, how: string): string {
  // Several transactions: what each added or removed is not added up, so the catalogs are counted afresh.
  const afresh = order.script.facts.countAfresh || order.execution !== 'atomic';
  return `${AS_OURSELVES} select pgunwind.end_step(${literal(order.run)}, ${order.seq}, ${afresh && order.execution !== 'empty'}, ${literal(how)}) as pgu_end;`;
}

export function endUnit(order: StepOrder, unit: number): string {
  return `${AS_OURSELVES} select pgunwind.end_unit(${literal(order.run)}, ${order.seq}, ${unit}, ${order.script.facts.countAfresh});`;
}

export function beginUnit(order: StepOrder, lock: LockKey, unit: number): string {
  return `select pgunwind.begin_unit(${literal(order.run)}, ${order.seq}, ${unit}, ${literal(order.token)}, ${lock.classId}, ${lock.objId});`;
}

export function check(run: string, nextSeq: number, lock: LockKey): string {
  return `select pgunwind.check(${literal(run)}, ${nextSeq}, ${lock.classId}, ${lock.objId}) as pgu_check;`;
}

export function releaseLocks(lock: LockKey): string {
  return `select pgunwind.release_locks(${lock.classId}, ${lock.objId});`;
}

/** Text of a unit; offsets are UTF-8 bytes. */
export function textOf(order: StepOrder, unit: Unit): string {
  return Buffer.from(order.script.body, 'utf8').subarray(unit.span.start, unit.span.end).toString('utf8');
}

/** The script's session settings before a unit: gone with the session of an earlier attempt, its role with each record of ours. */
export function settingsBefore(order: StepOrder, unit: Unit): readonly string[] {
  const source = Buffer.from(order.script.body, 'utf8');
  return order.script.facts.settings
    .filter((span) => span.end <= unit.span.start)
    .map((span) => `${source.subarray(span.start, span.end).toString('utf8')};`);
}

export function takesRoles(order: StepOrder): boolean {
  return order.script.facts.notes.some((note) => note.code === 'setsRole');
}

/** `⏎text⏎;`: a comment at the end of the text must not swallow what follows. */
const framed = (text: string) => (text.trim() === '' ? '' : `\n${text}\n;\n`);

/**
 * An atomic or empty step: lock, look, guard, text, record and the next check, in one message. The message is parsed whole
 * first, so an unterminated comment or quote fails it whole; names are resolved statement by statement, so nothing of the
 * text is analysed when begin_step raises; after an error the server skips the rest, `commit` included.
 */
export function atomicMessage(order: StepOrder, lock: LockKey, clean: RawCheck | null): string {
  const unit = order.script.facts.units[0];
  const text = order.execution === 'empty' || unit === undefined ? '' : textOf(order, unit);
  return [
    BEGIN,
    beginStep(order, lock, clean),
    framed(text),
    endStep(order, order.execution === 'empty' ? 'empty' : 'ran'),
    'commit;',
    check(order.run, order.seq + 1, lock),
  ].join('\n');
}

/** Statements of ours between two segments: two resets, `end_unit`, `commit and chain`, `begin_unit`. */
const BETWEEN_SEGMENTS = 5;

/** Statements of the script in the units before unit `at` (1-based). */
export function statementsBefore(order: StepOrder, at: number): number {
  return order.script.facts.units
    .slice(0, at - 1)
    .reduce((sum, unit) => sum + (unit.kind === 'transaction' ? unit.statements : 1), 0);
}

/**
 * Which of the script's statements (1-based) failed, when `completed` statements of its message had run; `first` is the unit
 * that the message began with.
 */
export function failedStatement(order: StepOrder, completed: number, first: number): number {
  const { units } = order.script.facts;
  const before = (at: number) => statementsBefore(order, at);
  let left = completed - OWN_STATEMENTS;
  if (order.execution !== 'segmented') return before(first) + Math.max(1, left + 1);
  for (let at = first; at <= units.length; at += 1) {
    const unit = units[at - 1] as Unit;
    const repeated = (at === first ? first > 1 : takesRoles(order)) ? settingsBefore(order, unit).length : 0;
    const own = repeated + (unit.kind === 'transaction' ? unit.statements : 1);
    if (left < own) return before(at) + Math.max(1, left - repeated + 1);
    left -= own + BETWEEN_SEGMENTS;
  }
  return before(units.length + 1);
}

/**
 * A segmented step from unit `first` (1-based) on: every unit's record is durable with the unit. Session-level locks, for a
 * transaction-level one would end with the first segment; begin_unit takes that one beside them, for a script could let go of
 * the session's.
 */
export function segmentedMessage(
  order: StepOrder,
  lock: LockKey,
  start:
    | { kind: 'begin'; check: RawCheck | null }
    | { kind: 'resume'; first: number; earlier: { run: string; seq: number } },
): string {
  const { units } = order.script.facts;
  const first = start.kind === 'begin' ? 1 : start.first;
  const parts = [
    BEGIN,
    start.kind === 'begin' ? beginStep(order, lock, start.check) : resumeStep(order, lock, start.earlier),
  ];
  for (let at = first; at <= units.length; at += 1) {
    const unit = units[at - 1] as Unit;
    if (at === first ? start.kind === 'resume' : takesRoles(order)) parts.push(...settingsBefore(order, unit));
    parts.push(framed(textOf(order, unit)));
    if (at < units.length) parts.push(endUnit(order, at), 'commit and chain;', beginUnit(order, lock, at + 1));
  }
  parts.push(endStep(order, start.kind === 'begin' ? 'ran' : 'resumed'), 'commit;', releaseLocks(lock));
  parts.push(check(order.run, order.seq + 1, lock));
  return parts.join('\n');
}

/** A transaction of its own around `inner`, as one message. */
export function transaction(...inner: readonly string[]): string {
  return [BEGIN, ...inner, 'commit;'].join('\n');
}
