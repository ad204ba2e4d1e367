import { setTimeout as pause } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Activities } from '../contract/activities.js';
import { yieldFence } from '../journal/runs.js';
import { claimDatabase } from '../step/claim.js';
import { onPlannedServer } from '../step/server.js';
import type { ActivityDeps } from './deps.js';
import { beating } from './heartbeat.js';

/** One token per database, all databases side by side. A repeat after a lost answer issues new ones: the last answer counts. */
export function createClaim({ instances, verdicts }: ActivityDeps): Activities['claim'] {
  return ({ instance, run, owner, databases, takeOver, servers }) =>
    beating('claiming', async (tell) => {
      const opened = instances.open(instance);
      const signal = Context.current().cancellationSignal;
      const waits = {
        waiting: tell,
        pause: (ms: number) => pause(ms, undefined, { signal }),
      };
      const answers = await Promise.allSettled(
        databases.map(async (name) => {
          const database = opened.database(name);
          verdicts.keep(run, name, null); // whatever made the claim necessary may have changed the database
          const server = servers?.[name];
          const token = await onPlannedServer(database.sessions, name, server, async () => {
            await database.prepare();
            return claimDatabase(
              database,
              { run, owner, takeOver, ...(server === undefined ? {} : { server }) },
              waits,
            );
          });
          return [name, token] as const;
        }),
      );
      const failed = answers.find((answer) => answer.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      return {
        tokens: Object.fromEntries(answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))),
      };
    });
}

/** Gives tokens back where they are still the newest. */
export function createYieldClaim({ instances, metrics }: ActivityDeps): Activities['yieldClaim'] {
  return async ({ instance, databases, tokens, why }) => {
    const opened = instances.open(instance);
    await Promise.all(
      databases.map(async (name) => {
        const token = tokens[name];
        if (token === undefined || token === '') return;
        if (why === 'parked') metrics.parked({ instance, database: name });
        await opened.database(name).sessions.withSession(({ client }) => yieldFence(client, token));
      }),
    );
  };
}
