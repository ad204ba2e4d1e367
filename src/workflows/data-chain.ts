import type { DataStepRef } from '../contract/activities.js';
import type { DataOutcome } from '../contract/data-activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType } from '../contract/errors.js';
import { dataActivityId, dataSummary } from '../contract/ids.js';
import type { PlanId } from '../contract/plan.js';
import { during, settledByHand, Stuck } from './failures.js';
import { moveByCalls } from './handler-chain.js';
import { unlessPaused, untilResumed } from './holding.js';
import { untilDone } from './parking.js';
import { isStopping, type Run, unlessAborted } from './run.js';

/**
 * One database's data migrations of one leg, one after another: a later one may build on the rows of an earlier one. Each begins with a
 * check of its own, under the locks.
 * @returns `behind`: a failover lost schema migrations of the leg, and the caller may go back for them.
 */
export async function moveData(
  run: Run,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
  mayGoBack: boolean,
): Promise<'moved' | 'stopped' | 'behind'> {
  const { progress } = run;
  const steps = progress.data.get(database) ?? [];
  for (let at = 0; at < steps.length;) {
    const step = steps[at] as DataStepRef;
    if (step.done) {
      at += 1;
      continue;
    }
    if (isStopping(run)) return 'stopped';
    if (progress.paused && !(await untilResumed(run, [database]))) return 'stopped';
    progress.moving.set(database, step);
    run.show();
    const outcome = await untilDone(run, { database, data: step, claims: [database] }, () => {
      progress.began.set(database, Date.now());
      return move(run, plan, leg, database, step).catch((error: unknown) => {
        if (mayGoBack && error instanceof Stuck && error.failure === FailureType.JournalBehind)
          return 'behind' as const;
        if (error instanceof Stuck) progress.unmoved.delete(database);
        throw error;
      });
    }).finally(() => {
      progress.began.delete(database);
      progress.moving.delete(database);
      progress.figures.delete(database);
    });
    if (outcome === undefined || outcome === 'stopped') return 'stopped';
    if (outcome === 'behind') return 'behind';
    if (outcome === 'paused') continue; // the same again, where its last batch ended
    progress.moved.set(step.id, outcome);
    at += 1;
    steps[at - 1] = { ...step, done: true };
    const { dataDone } = progress.legs[leg] ?? {};
    if (dataDone) dataDone[database] = (dataDone[database] ?? 0) + 1;
    run.show();
  }
  return 'moved';
}

/** A pause, an abort or a cancellation ends it between two batches; what they have done is durable, and the next run goes on there. */
async function move(
  run: Run,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
  { id, act, description, activity }: DataStepRef,
): Promise<DataOutcome | 'paused' | 'stopped'> {
  const { progress, proxies } = run;
  const input = {
    instance: progress.input.instance,
    run: progress.run,
    plan,
    leg,
    database,
    id,
    token: progress.tokens.get(database) ?? '',
    ...(progress.options.data === undefined ? {} : { options: progress.options.data }),
  };
  const label = { activityId: dataActivityId(database, id, act), summary: dataSummary(database, id, act, description) };
  const outcome: Partial<DataOutcome> | 'paused' | 'stopped' | null = await unlessPaused(run, () =>
    unlessAborted(run, () =>
      activity === undefined
        ? during('data', () => proxies.runDataMigration(label, input))
        : moveByCalls(run, input, label),
    ),
  );
  if (outcome === 'paused' || outcome === 'stopped') return outcome;
  if (typeof outcome?.how !== 'string' || typeof outcome.rows !== 'number') {
    throw settledByHand('data', 'completed, with a result that is not one of ours,');
  }
  return outcome as DataOutcome; // as: no worker of ours sends half of one
}
