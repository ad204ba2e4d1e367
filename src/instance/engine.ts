import type { Logger } from 'pino';
import { hookKindsOf } from '../config/hooks.js';
import type { Config } from '../config/schema.js';
import type { CheckVerdict } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import type { HookKinds } from '../contract/hooks.js';
import type { Via } from '../contract/input.js';
import type { LossReport } from '../contract/losses.js';
import type { Direction, Plan } from '../contract/plan.js';
import { checkIdle } from './check-idle.js';
import { dataSteps } from '../plan/report.js';
import { stopsOf } from '../plan/stops.js';
import { listData, type DataList } from './data-list.js';
import { surveyData, type DataProgress } from './data-survey.js';
import { createInstances, type OpenInstance } from './instances.js';
import { surveyLosses } from './losses/survey.js';
import { pastLog, pastRuns, type Past, type PastEntry, type PastRun } from './past.js';
import { planInstance } from './planning.js';

/** A plan, and what its reader should know beside it. */
export interface PlannedView {
  readonly plan: Plan;
  /** Not a leg is to be carried out; a plan that only moves data has legs. */
  readonly alreadyThere: boolean;
  readonly warnings: readonly string[];
  /** Of the plan's data migrations, from 0 to 1; null where it cannot be asked for. Left out where it has none. */
  readonly progress?: DataProgress;
  /** What the plan loses, with figures of now; left out where nobody asked. */
  readonly losses?: LossReport;
  /** Legs (0-based) behind which the run stops; left out where nobody asked. */
  readonly stops?: readonly number[];
  /** What is called on the way; left out where nothing is. */
  readonly hooks?: HookKinds;
}

export interface PlanOrder {
  readonly instance: string;
  readonly to: string;
  readonly direction: Direction;
  /** Where the run shall stop on its way. */
  readonly via?: Via;
  /** Count what is lost: reads every doomed table that is not too large. */
  readonly losses?: boolean;
}

/** What can be asked of an instance without Temporal; reads only. */
export interface Engine {
  plan(order: PlanOrder): Promise<PlannedView>;
  check(order: { instance: string }): Promise<Readonly<Record<DatabaseName, CheckVerdict>>>;
  data(order: { instance: string }): Promise<DataList>;
  /** From the journals, newest first. */
  history(order: { instance: string; last: number }): Promise<Past<PastRun>>;
  /** From the journals, oldest first. */
  log(order: { instance: string } & Parameters<typeof pastLog>[1]): Promise<Past<PastEntry>>;
  close(): Promise<void>;
}

export function createEngine({ config, env }: { config: Config; log?: Logger; env?: NodeJS.ProcessEnv }): Engine {
  const instances = createInstances({ config, ...(env === undefined ? {} : { env }) });
  return {
    async plan({ instance, to, direction, losses = false, via }) {
      const opened = instances.open(instance);
      const { plan, surveys } = await planInstance(opened, { to, direction, from: null });
      const stops = via === undefined ? null : stopsOf(plan, via);
      const hooks = hookKindsOf(opened.config);
      const warnings = [
        ...Object.values(surveys).flatMap((survey) => survey.warnings),
        ...plan.warnings.map(({ text }) => text),
      ];
      return {
        plan,
        alreadyThere: plan.legs.length === 0,
        warnings,
        ...(dataSteps(plan).length === 0 ? {} : { progress: await surveyData(opened, plan, surveys) }),
        ...(losses ? { losses: await lossesOf(opened, plan) } : {}),
        ...(stops === null ? {} : { stops }),
        ...(Object.keys(hooks).length === 0 ? {} : { hooks }),
      };
    },
    async check({ instance }) {
      const opened = instances.open(instance);
      const { catalog } = await opened.catalog();
      const verdicts = await Promise.all(
        opened.databases.map(async (database) => [database.name, await checkIdle(database, catalog)] as const),
      );
      return Object.fromEntries(verdicts);
    },
    data: ({ instance }) => listData(instances.open(instance)),
    history: ({ instance, last }) => pastRuns(instances.open(instance), last),
    log: ({ instance, ...order }) => pastLog(instances.open(instance), order),
    close: () => instances.close(),
  };
}

async function lossesOf(instance: OpenInstance, plan: Plan): Promise<LossReport> {
  const { catalog } = await instance.catalog();
  return surveyLosses(instance, plan, { makesOf: (sha256) => catalog.scripts[sha256]?.makes });
}
