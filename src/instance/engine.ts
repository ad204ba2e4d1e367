import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import type { CheckVerdict } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import type { Direction, Plan } from '../contract/plan.js';
import { checkIdle } from './check-idle.js';
import { createInstances } from './instances.js';
import { planInstance } from './planning.js';

/** What can be asked of an instance without Temporal; reads only. */
export interface Engine {
  plan(order: {
    instance: string;
    to: string;
    direction: Direction;
  }): Promise<{ readonly plan: Plan; readonly alreadyThere: boolean; readonly warnings: readonly string[] }>;
  check(order: { instance: string }): Promise<Readonly<Record<DatabaseName, CheckVerdict>>>;
  close(): Promise<void>;
}

export function createEngine({ config, env }: { config: Config; log?: Logger; env?: NodeJS.ProcessEnv }): Engine {
  const instances = createInstances({ config, ...(env === undefined ? {} : { env }) });
  return {
    async plan({ instance, to, direction }) {
      const { plan, surveys } = await planInstance(instances.open(instance), { to, direction, from: null });
      const warnings = [
        ...Object.values(surveys).flatMap((survey) => survey.warnings),
        ...plan.warnings.map(({ text }) => text),
      ];
      return { plan, alreadyThere: plan.legs.length === 0, warnings };
    },
    async check({ instance }) {
      const opened = instances.open(instance);
      const { catalog } = await opened.catalog();
      const verdicts = await Promise.all(
        opened.databases.map(async (database) => [database.name, await checkIdle(database, catalog)] as const),
      );
      return Object.fromEntries(verdicts);
    },
    close: () => instances.close(),
  };
}
