import type { DatabaseName } from '../contract/catalog.js';
import type { Direction, PlanWarning, PlannedDataStep, PlannedStep } from '../contract/plan.js';
import type { ScriptFacts } from '../contract/script.js';
import type { KnownRelease } from './known-releases.js';
import { dataStepLabel } from './report.js';

export function notNestedWarnings(notNested: readonly KnownRelease[]): PlanWarning[] {
  return notNested.map(({ label }) => ({
    code: 'notNested',
    database: null,
    migration: null,
    text: `The run does not stop at "${label}": its migrations are not nested with those of the other releases on the way.`,
  }));
}

/** What a reader of the plan should know about one step; always in the same order. */
export function stepWarnings(
  database: DatabaseName,
  step: PlannedStep,
  facts: ScriptFacts,
  direction: Direction,
  /** The release that the instance runs, when it shipped another down text than the one that will run. */
  olderTextIn: string | null,
): PlanWarning[] {
  const what = `${database} ${step.migration} ${step.name}`;
  const warnings: PlanWarning[] = [];
  const warn = (code: PlanWarning['code'], text: string) =>
    warnings.push({ code, database, migration: step.migration, text: `${what}: ${text}` });
  if (olderTextIn !== null) {
    warn('olderText', `a later release changed the down script that "${olderTextIn}" shipped; the newest text runs.`);
  }
  if (step.ledger === 'implied') {
    warn(
      'implied',
      'has no row in the ledger; a squashed root stands for it, so it is read as applied and will be undone.',
    );
  }
  if (direction === 'down' && step.execution === 'empty') {
    warn('emptyDown', 'the down script has no statement: what the up script changed stays as it is.');
  }
  if (facts.sessionState.length > 0) {
    warn(
      'sessionState',
      `its parts share what dies with the session (${facts.sessionState.join(', ')}): a death in the middle parks the run.`,
    );
  }
  if (step.execution === 'opaque') {
    warn('opaque', 'it commits where nobody can look: a death in the middle parks the run until a person decides.');
  }
  for (const note of facts.notes) {
    if (note.code === 'swallowsErrors') warn('swallowsErrors', note.text);
  }
  return warnings;
}

/** What a reader of the plan should know about one data migration. */
export function dataWarnings(
  step: PlannedDataStep,
  /** It runs at the very release that deprecates it. */
  atDeprecation: boolean,
): PlanWarning[] {
  const warnings: PlanWarning[] = [];
  const warn = (code: PlanWarning['code'], text: string) =>
    warnings.push({ code, database: step.database, migration: step.id, text: `${dataStepLabel(step)}: ${text}` });
  const runs = step.act === 'forward' || step.act === 'reverse';
  if (step.act === 'leave') {
    warn('left', 'its rows stay in the newer form, which older releases read too; an upgrade finds them done.');
  }
  if (runs && step.handler.kind === 'activity' && !step.handler.exactlyOnce) {
    warn(
      'idempotent',
      'its activity does not record its batches in its own transactions: a batch may run again, and must then change nothing more.',
    );
  }
  if (step.act === 'forward' && atDeprecation) {
    warn('late', `no stop of the way lies before "${step.deprecated}", which deprecates it: it runs on that schema.`);
  }
  return warnings;
}
