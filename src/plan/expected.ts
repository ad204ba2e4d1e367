import type { DatabaseName } from '../contract/catalog.js';
import type { Durations, Expected, ExpectedData } from '../contract/estimate.js';
import type { Plan, PlannedStep } from '../contract/plan.js';
import type { Execution } from '../contract/script.js';

/** Where no journal knows better; a run soon goes by its own pace. Documented in docs/operations.md. Milliseconds. */
export const GUESS = {
  steps: { atomic: 30, empty: 10, segmented: 200, concurrent: 300, opaque: 300 } satisfies Record<Execution, number>,
  gap: 40,
  boundary: 300,
  end: 1_000,
} as const;

/** More than that at a boundary was a wait: for another database, for a person, for a hook. */
const LONGEST_BOUNDARY_MS = 30_000;

/**
 * What each part of a plan should take: a step as long as it took the last times, else as long as others of its kind in the same
 * database, else a guess.
 */
export function expectedOf(plan: Plan, durations: Readonly<Record<DatabaseName, Durations | null>>): Expected {
  let known = 0;
  const stepMs = Object.fromEntries(
    plan.databases.map((database) => {
      const earlier = durations[database] ?? null;
      const gap = earlier?.gapMs ?? GUESS.gap;
      const steps = plan.legs.flatMap((leg) => leg.steps[database] ?? []);
      known += steps.filter(({ seq }) => earlier?.own[seq] !== undefined).length;
      return [database, steps.map((step) => rounded(gap + scriptMs(step, earlier)))];
    }),
  );
  const data = dataOf(plan, durations);
  return {
    stepMs,
    known,
    legMs: rounded(Math.min(LONGEST_BOUNDARY_MS, least(durations, ({ boundaryMs }) => boundaryMs) ?? GUESS.boundary)),
    endMs: rounded(Math.min(LONGEST_BOUNDARY_MS, least(durations, ({ endMs }) => endMs) ?? GUESS.end)),
    ...(data.length === 0 ? {} : { data }),
  };
}

function scriptMs({ seq, execution }: PlannedStep, earlier: Durations | null): number {
  return earlier?.own[seq] ?? earlier?.kinds[execution] ?? GUESS.steps[execution];
}

/** All databases cross a boundary together: the one that came last to it has waited for nobody else. */
function least(
  durations: Readonly<Record<DatabaseName, Durations | null>>,
  of: (each: Durations) => number | null,
): number | null {
  const all = Object.values(durations).flatMap((each) => (each === null ? [] : (of(each) ?? [])));
  return all.length === 0 ? null : Math.min(...all);
}

function dataOf(plan: Plan, durations: Readonly<Record<DatabaseName, Durations | null>>): ExpectedData[] {
  return plan.legs.flatMap(({ data = [] }, leg) =>
    data
      .filter(({ act }) => act === 'forward' || act === 'reverse')
      .map(({ id, database, act }) => {
        const ms = durations[database]?.data[`${id} ${act}`];
        return { leg, database, id, ms: ms === undefined ? null : rounded(ms) };
      }),
  );
}

/** Three digits: it is one number for each step of a plan, in Temporal's history. */
function rounded(ms: number): number {
  return Number(Math.max(0, ms).toPrecision(3));
}
