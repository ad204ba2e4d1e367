import type { DatabaseName } from '../contract/catalog.js';
import type { Direction, Plan, PlannedDataStep, PlannedStep } from '../contract/plan.js';

/** A step and where it stands in its plan. */
export interface PlacedStep {
  /** Index into `plan.legs`. */
  readonly leg: number;
  readonly database: DatabaseName;
  readonly step: PlannedStep;
}

/** A data migration and where it stands in its plan. */
export interface PlacedDataStep {
  /** Index into `plan.legs`. */
  readonly leg: number;
  readonly step: PlannedDataStep;
}

/** Every schema step: leg by leg, in a leg database by database, in a database in the order of execution. */
export function planSteps(plan: Plan): PlacedStep[] {
  return plan.legs.flatMap(({ steps }, leg) =>
    plan.databases.flatMap((database) => (steps[database] ?? []).map((step) => ({ leg, database, step }))),
  );
}

/** Every data migration: leg by leg, in a leg in the order of the plan. */
export function dataSteps(plan: Plan): PlacedDataStep[] {
  return plan.legs.flatMap(({ data = [] }, leg) => data.map((step) => ({ leg, step })));
}

/** Of schema steps: data migrations are as long as their data, and are not counted among them. */
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

/** `app data migration 7 (Encrypts the e-mail addresses)` */
export function dataStepLabel(step: Pick<PlannedDataStep, 'id' | 'database' | 'description'>): string {
  return `${step.database} data migration ${step.id} (${step.description})`;
}

/** In whole percents. Never `0 %` where something is done, nor `100 %` where something is left. */
export function progressText(progress: number): string {
  return progress > 0 && progress < 0.01 ? '< 1 %' : `${Math.floor(progress * 100)} %`;
}

/** `introduced v2.0.0, deprecated v4.0.0`: the releases on whose schema a data migration can run. */
export function windowText(window: Pick<PlannedDataStep, 'introduced' | 'deprecated'>): string {
  return `introduced ${window.introduced}, ${window.deprecated === null ? 'never deprecated' : `deprecated ${window.deprecated}`}`;
}
