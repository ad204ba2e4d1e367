/** What is left of a run, in milliseconds. */
export interface WorkLeft {
  /** In their order: a leg begins when all databases have ended the one before. */
  readonly legs: readonly LegLeft[];
  /** Behind the last leg. */
  readonly endMs: number;
}

export interface LegLeft {
  readonly databases: readonly DatabaseLeft[];
  /** At its release: the record and the verification. */
  readonly boundaryMs: number;
}

export interface DatabaseLeft {
  /** Schema migrations, one after another, the one under way without what it has had of its time. */
  readonly schemaMs: number;
  /** Data migrations, behind the schema of all databases. */
  readonly dataMs: number;
}

/** Databases go side by side: the slowest one says how long a leg takes, first for its schema, then for its data. */
export function timeLeft({ legs, endMs }: WorkLeft): number {
  return legs.reduce(
    (ms, { databases, boundaryMs }) =>
      ms +
      Math.max(0, ...databases.map(({ schemaMs }) => schemaMs)) +
      Math.max(0, ...databases.map(({ dataMs }) => dataMs)) +
      Math.max(0, boundaryMs),
    Math.max(0, endMs),
  );
}

/** What a run has done so far: what that took, and what it should have taken. Milliseconds. */
export interface Pace {
  readonly steps: number;
  readonly spentMs: number;
  readonly expectedMs: number;
}

/** Messages and the check beside a script; more than that was a wait, for a worker that is not there any more for example. */
const MOST_BESIDE_MS = 1_000;

/** What one step has cost: from its check to its answer, of which its script took `tookMs` by the database's clock. */
export function timeSpent(wallMs: number, tookMs: number): number {
  return tookMs + Math.min(MOST_BESIDE_MS, Math.max(0, wallMs - tookMs));
}

export const NO_PACE: Pace = { steps: 0, spentMs: 0, expectedMs: 0 };

/** So few steps say nothing about the others. */
export const FEWEST_STEPS = 5;

/**
 * By what the expected times of the steps left are multiplied. What was expected has a weight of its own, so that no single step turns
 * the whole; figures of earlier runs have a greater one than guesses, which may be wrong by any factor.
 */
export function paceFactor({ steps, spentMs, expectedMs }: Pace, isMeasured: boolean): number {
  if (steps < FEWEST_STEPS || expectedMs <= 0) return 1;
  const weightMs = isMeasured ? 2_000 : 200;
  const most = isMeasured ? 5 : 50;
  return Math.min(most, Math.max(1 / most, (spentMs + weightMs) / (expectedMs + weightMs)));
}
