import type { DataMigrationId } from '../contract/catalog.js';
import type { Plan, PlannedDataStep } from '../contract/plan.js';
import type { DataProgress } from '../instance/data-survey.js';
import { dataSteps, destructiveSteps, progressText } from '../plan/report.js';

/** What a plan loses for good, as far as the databases say: what consent is asked for. */
export interface Losses {
  readonly count: number;
  /** The first ten, for people. */
  readonly examples: readonly string[];
}

const EXAMPLES = 10;
const LONGEST = 200;

/** Irreversible, and not yet passed by this run: it loses what it has moved forward. */
export function mayBeLost({ act, id }: PlannedDataStep, passed: ReadonlySet<DataMigrationId>): boolean {
  return act === 'lose' && !passed.has(id);
}

/** @param progress of the data migrations that may be lost; what nobody knows counts as moved. */
export function lossesOf(plan: Plan, passed: ReadonlySet<DataMigrationId>, progress: DataProgress): Losses {
  const steps = destructiveSteps(plan).map(({ database, step }) => {
    const lost = step.destroys.filter(({ loss }) => loss === 'data').map(({ kind, object }) => `${kind} ${object}`);
    return `${database} ${step.migration} ${step.name}: ${[...new Set(lost)].slice(0, 3).join(', ')}`;
  });
  const data = dataSteps(plan)
    .filter(({ step }) => mayBeLost(step, passed) && progress[step.id] !== 0)
    .map(({ step: { database, id, description } }) => {
      const found = progress[id] ?? null;
      const at = found === null ? 'its progress is not known' : `at ${progressText(found)}`;
      return `${database} data migration ${id} ${description}: irreversible, ${at}`;
    });
  const all = [...steps, ...data];
  return { count: all.length, examples: all.slice(0, EXAMPLES).map((text) => text.slice(0, LONGEST)) };
}
