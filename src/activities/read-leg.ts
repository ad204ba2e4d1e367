import type { Activities, LegRef, StepRef } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { dataSteps } from '../journal/data.js';
import { closedLegs, doneSteps } from '../journal/runs.js';
import type { InstanceDatabase } from '../step/database.js';
import type { ActivityDeps } from './deps.js';

/** The steps of one leg, each with what the journal says of it now: the journal is the position, not the history. */
export function createReadLeg({ instances, plans }: ActivityDeps): Activities['readLeg'] {
  return async ({ instance, run, plan: planId, leg: at }): Promise<LegRef> => {
    const { databases } = instances.open(instance);
    const plan = await plans.plan(databases[0] as InstanceDatabase, planId);
    const leg = plan.legs[at];
    if (leg === undefined) {
      throw new UnwindError(FailureType.JournalIncomplete, `Plan ${planId} has no leg ${at + 1}. Nothing was changed.`);
    }
    const answers = await Promise.all(
      databases.map((database) =>
        database.sessions.withSession(async ({ client }) => {
          const done = await doneSteps(client, run);
          const closed = (await closedLegs(client, run)).has(at);
          const steps: StepRef[] = (leg.steps[database.name] ?? []).map(({ seq, migration, name, execution }) => ({
            seq,
            migration,
            name,
            execution,
            done: done.has(seq),
          }));
          const planned = (leg.data ?? []).filter((each) => each.database === database.name);
          const begun = planned.length === 0 ? [] : await dataSteps(client, run);
          const data = planned.map(({ id, description, act }) => ({
            id,
            description,
            act,
            done: begun.some((each) => each.leg === at && each.id === id && each.done),
          }));
          return { database: database.name, steps, closed, data };
        }),
      ),
    );
    return {
      release: leg.release,
      steps: Object.fromEntries(answers.map(({ database, steps }) => [database, steps])),
      closed: answers.every(({ closed }) => closed),
      ...(leg.data === undefined
        ? {}
        : { data: Object.fromEntries(answers.map(({ database, data }) => [database, data])) }),
    };
  };
}
