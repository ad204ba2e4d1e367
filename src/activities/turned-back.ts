import type { OpenInstance } from '../instance/instances.js';
import { doneSteps, planOfRun } from '../journal/runs.js';
import { destructiveSteps } from '../plan/report.js';
import type { InstanceDatabase } from '../step/database.js';
import type { PlanCache } from './plan-cache.js';

const SHOWN = 20;

/**
 * What the steps that a run has done have destroyed: going back makes the structures again, and brings none of the content. One
 * line each; none where the journal knows no such run.
 */
export async function lostBefore(instance: OpenInstance, plans: PlanCache, run: string): Promise<string[]> {
  const lines = await Promise.all(instance.databases.map((database) => lostIn(database, plans, run)));
  const all = lines.flat();
  const more = all.length > SHOWN ? [`… and ${all.length - SHOWN} more steps whose content does not come back`] : [];
  return [...all.slice(0, SHOWN), ...more];
}

async function lostIn(database: InstanceDatabase, plans: PlanCache, run: string): Promise<string[]> {
  const { id, done } = await database.sessions.withSession(async ({ client }) => ({
    id: await planOfRun(client, run),
    done: await doneSteps(client, run),
  }));
  if (id === null) return [];
  const plan = await plans.plan(database, id);
  return destructiveSteps(plan)
    .filter((placed) => placed.database === database.name && done.has(placed.step.seq))
    .map(({ step: { migration, name, destroys } }) => {
      const lost = destroys.filter(({ loss }) => loss === 'data').map(({ kind, object }) => `${kind} ${object}`);
      return `${database.name} ${migration} ${name}: what it destroyed does not come back (${[...new Set(lost)].slice(0, 3).join(', ')})`;
    });
}
