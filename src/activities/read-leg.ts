import { setTimeout as pause } from 'node:timers/promises';
import type { Activities, LegRef, StepRef } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { describeWriters, type Writer } from '../contract/writers.js';
import type { Plan } from '../contract/plan.js';
import { losesData } from '../contract/script.js';
import { dataSteps } from '../journal/data.js';
import { noteRestorePoint } from '../journal/losses.js';
import { legStanding } from '../journal/runs.js';
import type { InstanceDatabase } from '../step/database.js';
import { findWriters, type WritersExempt } from '../step/writers.js';
import type { ActivityDeps } from './deps.js';

/**
 * The steps of one leg, each with what the journal says of it now: the journal is the position, not the history. And who else is
 * connected, where the leg has still something to do.
 */
export function createReadLeg({ instances, plans, log }: ActivityDeps): Activities['readLeg'] {
  return async ({ instance, run, plan: planId, leg: at, databases: of, besideWriters }): Promise<LegRef> => {
    const { databases: all, config } = instances.open(instance);
    const databases = all.filter(({ name }) => of === undefined || of.includes(name));
    const { writers: options } = config.options;
    const plan = await plans.plan(databases[0] as InstanceDatabase, planId);
    const leg = plan.legs[at];
    if (leg === undefined) {
      throw new UnwindError(FailureType.JournalIncomplete, `Plan ${planId} has no leg ${at + 1}. Nothing was changed.`);
    }
    const answers = await Promise.all(
      databases.map((database) =>
        database.sessions.withSession(async ({ client }) => {
          const { done, closed } = await legStanding(client, run, at);
          const steps: StepRef[] = (leg.steps[database.name] ?? []).map(({ seq, migration, name, execution }) => ({
            seq,
            migration,
            name,
            execution,
            done: done.has(seq),
          }));
          const planned = (leg.data ?? []).filter((each) => each.database === database.name);
          const begun = planned.length === 0 ? [] : await dataSteps(client, run);
          const data = planned.map(({ id, description, act, handler }) => ({
            id,
            description,
            act,
            done: begun.some((each) => each.leg === at && each.id === id && each.done),
            ...(handler.kind === 'activity' && (act === 'forward' || act === 'reverse')
              ? { activity: { taskQueue: handler.taskQueue, type: handler.type } }
              : {}),
          }));
          const begins = besideWriters !== true && !closed && [...steps, ...data].some((step) => !step.done);
          const writers = begins ? await findWriters(client, database, options) : [];
          return { database: database.name, steps, closed, data, writers };
        }),
      ),
    );
    let writers: readonly Writer[] = answers.flatMap((answer) => answer.writers);
    const refuses = writers.length > 0 && options.policy === 'refuse';
    if (refuses) {
      const who = describeWriters(writers);
      log.info({ instance, writers }, `${instance}: before the leg to ${leg.release} it looks again for ${who}`);
      writers = await stillThere(databases, options);
    }
    if (refuses && writers.length > 0) throw activeWriters(leg.release, writers);
    const begins = besideWriters !== true && (writers.length === 0 || options.policy === 'warn');
    const restorePoints = begins && destroysUpTo(plan, at) ? await restorePointsOf(databases, run, at) : null;
    return {
      release: leg.release,
      steps: Object.fromEntries(answers.map(({ database, steps }) => [database, steps])),
      closed: answers.every(({ closed }) => closed),
      ...(leg.data === undefined
        ? {}
        : { data: Object.fromEntries(answers.map(({ database, data }) => [database, data])) }),
      ...(restorePoints === null ? {} : { restorePoints }),
      ...(refuses ? { writersLeft: true as const } : {}),
      ...(writers.length === 0 || options.policy === 'refuse'
        ? {}
        : { writers: { policy: options.policy, found: writers } }),
    };
  };
}

/** The sessions of an application that was stopped a moment ago outlive it by a moment: no reason to call a person. */
const LAST_SESSIONS_MS = 3_000;
const LOOK_AGAIN_MS = 100;

async function stillThere(databases: readonly InstanceDatabase[], options: WritersExempt): Promise<readonly Writer[]> {
  for (const until = performance.now() + LAST_SESSIONS_MS; ; await pause(LOOK_AGAIN_MS)) {
    const found = await Promise.all(
      databases.map((database) =>
        database.sessions.withSession(({ client }) => findWriters(client, database, options)),
      ),
    );
    const writers = found.flat();
    if (writers.length === 0 || performance.now() >= until) return writers;
  }
}

/** This leg or one before it loses content: from here on a restore would have to go back to before it. */
function destroysUpTo({ legs }: Plan, at: number): boolean {
  return legs
    .slice(0, at + 1)
    .some(
      ({ steps, data = [] }) =>
        data.some(({ act }) => act === 'lose') || Object.values(steps).some((each) => each.some(losesData)),
    );
}

/** Noted once for each run, as late as can be: what is written after it is not in it. */
async function restorePointsOf(databases: readonly InstanceDatabase[], run: string, leg: number) {
  const points = databases.map((database) =>
    database.sessions.withSession(
      async ({ client }) => [database.name, await noteRestorePoint(client, run, leg)] as const,
    ),
  );
  return Object.fromEntries(await Promise.all(points));
}

function activeWriters(release: string, writers: readonly Writer[]): UnwindError {
  return new UnwindError(
    FailureType.ActiveWriters,
    `Others are connected, and "options.writers" of this instance lets no leg begin beside them: ${describeWriters(writers)}. An application ` +
      `that still runs can write rows in the form of its own release behind the back of this run. The leg to ${release} is not begun, and ` +
      'nothing was changed. Stop these services; or name the role or application that may stay in "exemptRoles" or "exemptApplicationNames" ' +
      'and start the workers again. Then send the update "retryStep".',
    { details: { release, writers } },
  );
}
