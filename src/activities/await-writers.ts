import { setTimeout as pause } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Activities } from '../contract/activities.js';
import { describeWriters } from '../contract/writers.js';
import { findWriters } from '../step/writers.js';
import type { ActivityDeps } from './deps.js';
import { beating } from './heartbeat.js';

/** Then the workflow shows anew who is there: what it shows in between is who was there when the wait began. */
const ONE_WAIT_MS = 600_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/** The wait is here and not in the workflow: each look there would be three events of a history that may last a night. */
export function createAwaitWriters({ instances, log }: ActivityDeps): Activities['awaitWriters'] {
  return ({ instance, release, databases: of }) =>
    beating('looking for sessions of others', async (tell) => {
      const { databases: all, config } = instances.open(instance);
      const databases = all.filter(({ name }) => of === undefined || of.includes(name));
      const { cancellationSignal: signal } = Context.current();
      const until = performance.now() + ONE_WAIT_MS;
      let told = '';
      for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(LONGEST_PAUSE_MS, ms * 2)) {
        const found = await Promise.all(
          databases.map((database) =>
            database.sessions.withSession(({ client }) => findWriters(client, database, config.options.writers)),
          ),
        );
        const writers = found.flat();
        if (writers.length === 0 || performance.now() >= until) return { writers };
        const who = describeWriters(writers);
        tell(`the leg to ${release} waits for ${who}`);
        if (who !== told) log.info({ instance, writers }, `${instance}: the leg to ${release} waits for ${who}`);
        told = who;
        await pause(ms, undefined, { signal });
      }
    });
}
