import { setTimeout as pause } from 'node:timers/promises';
import { withClient } from '../../support/postgres.js';
import type { Stage } from './stage.js';
import type { Standing } from './start-state.js';

/** Steps are short: waits a little for a session to be there. */
export async function signal(stage: Stage, how: string, names: readonly string[]): Promise<boolean> {
  const text = `select ${how}(pid) from pg_stat_activity
     where datname = current_database() and application_name like any ($1) and pid <> pg_backend_pid()`;
  const hit = async ({ database }: Standing) =>
    withClient(database.superuserUrl, async (client) => {
      for (const deadline = performance.now() + 1_500; performance.now() < deadline && !stage.isOver();) {
        const { rowCount } = await client.query(text, [names]);
        if ((rowCount ?? 0) > 0) return true;
        await pause(3);
      }
      return false;
    });
  return (await Promise.all(stage.context.standings.map(hit))).includes(true);
}

/** A transaction of somebody else's: it takes what it wants, keeps it for that time beside what follows, and goes. */
export async function hold(stage: Stage, { database }: Standing, statement: string, ms: number): Promise<boolean> {
  let taken: (it: boolean) => void = () => undefined;
  const answer = new Promise<boolean>((resolve) => (taken = resolve));
  const work = withClient(database.url, async (client) => {
    await client.query('set statement_timeout = 5000');
    await client.query('begin');
    await client.query(statement);
    taken(true);
    await pause(ms);
    await client.query('rollback');
  });
  // It never got it, or was the victim of a deadlock.
  stage.beside.push(work.catch(() => taken(false)));
  return answer;
}
