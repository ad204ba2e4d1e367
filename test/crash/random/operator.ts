import type { Parked, StatusReport } from '../../../src/contract/messages.js';
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { withClient } from '../../support/postgres.js';
import { count, Finding, type CaseContext } from './context.js';
import { ledgerOf } from './product.js';
import type { RunControl } from './run-control.js';
import { finishByHand } from './scripts.js';

/** Reasons that go away by themselves: their remedies are "stop it" or "let it end", then `retryStep`. */
const PASSING = new Set(['lockHeld', 'earlierAttemptAlive', 'indexBuildRunning']);

const TAKEN_WITHIN_MS = 90_000;

/** More answers than that, and the run does not go on by being helped. */
const PATIENCE = 15;

/**
 * Plays the operator, but only where docs/operations.md foresees one. Whatever else a run stops at is a finding.
 * @returns whether there was something to answer.
 */
export async function operate(context: CaseContext, control: RunControl, status: StatusReport): Promise<boolean> {
  if (status.state === 'awaitingApproval') {
    return said(context, 'approve', await control.update('approve', { plan: status.plan, by: 'the search' }));
  }
  if (status.state !== 'needsOperator') return false;
  const answers = [...context.tally.operator].filter(([what]) => what !== 'approve');
  if (answers.reduce((sum, [, number]) => sum + number, 0) > PATIENCE) {
    throw new Finding(
      `the run has been helped ${PATIENCE} times and is parked again: ${inspect(status.parked, { depth: 5 })}`,
    );
  }
  for (const parked of status.parked) {
    const answer = answerTo(context, parked);
    if (answer === 'retryStep') {
      const input = parked.database === null ? {} : { database: parked.database };
      said(
        context,
        `retryStep after ${nameOf(parked)}`,
        await control.update('retryStep', { ...input, by: 'the search' }),
      );
      continue;
    }
    if (answer === 'settle') await settle(context, parked);
    await startAgain(control);
    return said(context, `${answer === 'settle' ? 'settled' : 'started again after'} ${nameOf(parked)}`, true);
  }
  return true;
}

function said({ tally }: CaseContext, what: string, taken: boolean): boolean {
  if (taken) count(tally.operator, what);
  return taken;
}

const nameOf = ({ failure, reasons }: Parked) =>
  reasons.length === 0 ? failure : [...new Set(reasons.map(({ code }) => code))].sort().join('+');

type Answer = 'retryStep' | 'startAgain' | 'settle';

function answerTo(context: CaseContext, parked: Parked): Answer {
  const { begun } = context;
  const codes = parked.reasons.map(({ code }) => code);
  if (parked.failure === 'DirtyDatabase' && codes.length > 0 && codes.every((code) => PASSING.has(code))) {
    return 'retryStep';
  }
  if (parked.failure === 'StepUndecided') {
    const kind = migrationOf(context, parked)?.kind;
    if (kind === 'opaque' || kind === 'bound') return 'settle';
  }
  if (begun.has('rivalRun')) {
    // Whoever claims first is served, and may have gone some steps before it was told to stop.
    if (parked.failure === 'ClaimedByAnother') return 'retryStep';
    if (parked.failure === 'JournalIncomplete' || codes.every((code) => code === 'unexpectedAppliedSet')) {
      return 'startAgain';
    }
  }
  // A reset brings back an execution whose run has ended in the journal meanwhile.
  if (begun.has('resetRun') && parked.failure === 'JournalIncomplete') return 'startAgain';
  throw new Finding(`the run is parked, and no operator was foreseen for that: ${inspect(parked, { depth: 6 })}`);
}

function migrationOf({ standings }: CaseContext, { database, migration }: Parked) {
  const standing = standings.find(({ model }) => model.name === database);
  return standing?.model.migrations.find(({ id }) => String(id) === migration);
}

/** docs/operations.md, "A step that only a person can decide": complete it by hand, bring the ledger to that state. */
async function settle(context: CaseContext, parked: Parked): Promise<void> {
  const standing = context.standings.find(({ model }) => model.name === parked.database);
  const migration = migrationOf(context, parked);
  if (standing === undefined || migration === undefined) throw new Finding(`nobody knows ${inspect(parked)}`);
  await withClient(standing.database.url, async (client) => {
    const { rows } = await client.query<{ what: string }>('select what from witness');
    const statements = finishByHand(migration, context.test.direction, new Set(rows.map(({ what }) => what)));
    const values = [ledgerOf(standing.model).key, migration.id];
    await client.query('begin');
    for (const statement of statements) await client.query(statement);
    const pending = await client.query(
      `update migration_logs set success = true, finished_at = clock_timestamp() where schema = $1 and version = $2 and success is null`,
      values,
    );
    await client.query('commit');
    if (pending.rowCount !== 1)
      throw new Finding(`${pending.rowCount} pending rows in the ledger of ${inspect(parked)}`);
  });
}

export async function startAgain(control: RunControl): Promise<void> {
  await control.changing(async () => {
    const deadline = performance.now() + TAKEN_WITHIN_MS;
    // One that could not be recorded in time is sent again: the run that has taken it all the same refuses the second, and ends.
    while ((await control.ending()) === null && performance.now() < deadline) {
      if (await control.update('abort', { by: 'the search', why: 'to start again' })) break;
      await pause(100);
    }
    await control.untilEnded();
    await control.start();
  });
}
