import type { DataOutcome, DataStepRef } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType } from '../contract/errors.js';
import { dataActivityId, dataSummary } from '../contract/ids.js';
import type { PlanId } from '../contract/plan.js';
import { during, settledByHand, Stuck } from './failures.js';
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
  for (const [at, step] of steps.entries()) {
    if (step.done) continue;
    if (isStopping(run)) return 'stopped';
    progress.moving.set(database, step);
    run.show();
    const outcome = await untilDone(run, { database, data: step, claims: [database] }, () =>
      move(run, plan, leg, database, step).catch((error: unknown) => {
        if (mayGoBack && error instanceof Stuck && error.failure === FailureType.JournalBehind)
          return 'behind' as const;
        throw error;
      }),
    ).finally(() => progress.moving.delete(database));
    if (outcome === undefined) return 'stopped';
    if (outcome === 'behind') return 'behind';
    steps[at] = { ...step, done: true };
    const { dataDone } = progress.legs[leg] ?? {};
    if (dataDone) dataDone[database] = (dataDone[database] ?? 0) + 1;
    run.show();
  }
  return 'moved';
}

/** An abort or a cancellation ends it between two batches; what they have done is durable, and the next run goes on there. */
async function move(
  run: Run,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
  { id, act, description }: DataStepRef,
): Promise<DataOutcome> {
  const { progress, proxies } = run;
  const outcome: Partial<DataOutcome> | null = await during('data', () =>
    unlessAborted(run, () =>
      proxies.runDataMigration(
        { activityId: dataActivityId(database, id, act), summary: dataSummary(database, id, act, description) },
        {
          instance: progress.input.instance,
          run: progress.run,
          plan,
          leg,
          database,
          id,
          token: progress.tokens.get(database) ?? '',
        },
      ),
    ),
  );
  if (typeof outcome?.how !== 'string' || typeof outcome.rows !== 'number') {
    throw settledByHand('data', 'completed, with a result that is not one of ours,');
  }
  return outcome as DataOutcome; // as: no worker of ours sends half of one
}
