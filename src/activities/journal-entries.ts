import type { Activities } from '../contract/activities.js';
import { endRun, recordDecision } from '../journal/runs.js';
import { lacksJournal } from '../journal/missing.js';
import type { InstanceDatabase } from '../step/database.js';
import { expectNotGrown } from './count-losses.js';
import type { ActivityDeps } from './deps.js';

/**
 * Who decided what, when and why, into every journal that can be reached: one is enough, for the history of the workflow has it too.
 * A database without a journal (nothing was planned there yet) is passed over. Consent that was asked for with figures is taken
 * only where they still hold.
 */
export function createRecordDecision({ instances, plans, log }: ActivityDeps): Activities['recordDecision'] {
  return async ({ instance, databases: of, ...decision }) => {
    const opened = instances.open(instance);
    const databases = opened.databases.filter(({ name }) => of === undefined || of.includes(name));
    const { shownAt } = decision.details;
    if (typeof shownAt === 'string' && decision.plan !== null) {
      const plan = await plans.plan(databases[0] as InstanceDatabase, decision.plan);
      await expectNotGrown(opened, plan, decision.run, shownAt);
    }
    const answers = await Promise.allSettled(
      databases.map((database) =>
        database.sessions.withSession(({ client }) => recordDecision(client, decision).catch(passOverMissing)),
      ),
    );
    const who = decision.by === null ? '' : ` by ${decision.by}`;
    log.info(
      { instance, ...decision },
      `${instance}: ${decision.kind}${who}${decision.why === null ? '' : `: ${decision.why}`}`,
    );
    const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    if (failures.length === databases.length) throw failures[0];
  };
}

export function createEndRun({ instances, log }: ActivityDeps): Activities['endRun'] {
  return async ({ instance, databases: of, run, state }) => {
    const databases = instances.open(instance).databases.filter(({ name }) => of === undefined || of.includes(name));
    await Promise.all(
      databases.map((database) =>
        database.sessions.withSession(({ client }) => endRun(client, run, state).catch(passOverMissing)),
      ),
    );
    log.info({ instance, run, state }, `${instance}: run ${state}`);
  };
}

function passOverMissing(error: unknown): void {
  if (!lacksJournal(error)) throw error;
}
