import type { DatabaseName } from '../contract/catalog.js';
import type { Direction, Plan, PlannedStep } from '../contract/plan.js';

/** A step and where it stands in its plan. */
export interface PlacedStep {
  /** Index into `plan.legs`. */
  readonly leg: number;
  readonly database: DatabaseName;
  readonly step: PlannedStep;
}

/** Every step: leg by leg, in a leg database by database, in a database in the order of execution. */
export function planSteps(plan: Plan): PlacedStep[] {
  return plan.legs.flatMap(({ steps }, leg) =>
    plan.databases.flatMap((database) => (steps[database] ?? []).map((step) => ({ leg, database, step }))),
  );
}

export interface StepCounts {
  readonly total: number;
  /** Zero where a database has nothing to do. */
  readonly databases: Readonly<Record<DatabaseName, number>>;
}

export interface PlanCounts extends StepCounts {
  /** In the order of `plan.legs`. */
  readonly legs: readonly ({ readonly release: string } & StepCounts)[];
}

export function countSteps(plan: Plan): PlanCounts {
  const count = (legs: Plan['legs']): StepCounts => {
    const databases = Object.fromEntries(
      plan.databases.map((name) => [name, legs.reduce((sum, { steps }) => sum + (steps[name]?.length ?? 0), 0)]),
    );
    return { total: Object.values(databases).reduce((sum, steps) => sum + steps, 0), databases };
  };
  return { ...count(plan.legs), legs: plan.legs.map((leg) => ({ release: leg.release, ...count([leg]) })) };
}

/** Steps that lose content: a plan with any of them needs consent (promise 7). */
export function destructiveSteps(plan: Plan): PlacedStep[] {
  return planSteps(plan).filter(({ step }) => step.destroys.some(({ loss }) => loss === 'data'));
}

/** `43/259 1771010057 deepsearch_question_jobs ↓`: a step among those of its database. */
export function stepLabel(step: PlannedStep, stepsOfDatabase: number, direction: Direction): string {
  return `${step.seq}/${stepsOfDatabase} ${step.migration} ${step.name} ${direction === 'down' ? '↓' : '↑'}`;
}
