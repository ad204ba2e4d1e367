import type { PlanSummary } from '../contract/activities.js';
import { shellWord } from './commands.js';
import type { Progress } from './progress.js';

/**
 * The run's memo, once there is a plan: where that is to be read, also while no worker answers a query and after the run is over.
 */
export function memoOf({ input, asked }: Progress, { plan, run, from, to, direction, databases }: PlanSummary) {
  const instance = shellWord(input.instance);
  const operands = asked === null ? instance : `${instance} --data ${shellWord(asked.id)}`;
  const up = direction === 'up' ? ' --up' : '';
  const preview = `pg-unwind plan ${instance} --to ${shellWord(to)}${up}`;
  return {
    UnwindPlan: {
      id: plan,
      way: asked === null ? `${from ?? '?'} → ${to}` : `data migration ${asked.id} ${asked.direction}`,
      run,
      databases: databases.join(', '),
      sql: `select body from pgunwind.plan where id = '${plan}'`,
      ...(asked === null ? { beforeItsFirstStep: preview } : {}),
      watch: `pg-unwind watch ${operands}`,
      log: `pg-unwind log ${instance} --run ${run}`,
    },
  };
}
