import type { Activities } from '../contract/activities.js';
import { endRun, recordDecision } from '../journal/runs.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { ActivityDeps } from './deps.js';

const NO_JOURNAL: ReadonlySet<string> = new Set(['42P01', '3F000']);

/**
 * Who decided what, when and why, into every journal that can be reached: one is enough, for the history of the workflow has it too.
 * A database without a journal (nothing was planned there yet) is passed over.
 */
export function createRecordDecision({ instances, log }: ActivityDeps): Activities['recordDecision'] {
  return async ({ instance, ...decision }) => {
    const { databases } = instances.open(instance);
    const answers = await Promise.allSettled(
      databases.map((database) => database.sessions.withSession(({ client }) => recordDecision(client, decision))),
    );
    const who = decision.by === null ? '' : ` by ${decision.by}`;
    log.info(
      { instance, ...decision },
      `${instance}: ${decision.kind}${who}${decision.why === null ? '' : `: ${decision.why}`}`,
    );
    const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    const real = failures.filter((error) => !NO_JOURNAL.has(sqlstateOf(error) ?? ''));
    if (real.length === databases.length) throw real[0];
  };
}

export function createEndRun({ instances, log }: ActivityDeps): Activities['endRun'] {
  return async ({ instance, run, state }) => {
    const { databases } = instances.open(instance);
    await Promise.all(
      databases.map((database) =>
        database.sessions.withSession(({ client }) =>
          endRun(client, run, state).catch((error: unknown) => {
            if (!NO_JOURNAL.has(sqlstateOf(error) ?? '')) throw error;
          }),
        ),
      ),
    );
    log.info({ instance, run, state }, `${instance}: run ${state}`);
  };
}
