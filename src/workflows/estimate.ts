import type { DatabaseName } from '../contract/catalog.js';
import type { Estimate, Expected, ExpectedData } from '../contract/estimate.js';
import type { RunState } from '../contract/messages.js';
import { FEWEST_STEPS, type LegLeft, paceFactor, timeLeft } from '../plan/time-left.js';
import { type LegProgress, type Progress, stateOf, stepsOf } from './progress.js';

/** In these the run goes on by itself: only then has it an end that can be told. */
const GOING_ON: ReadonlySet<RunState> = new Set(['running', 'verifying']);
/** The work of the plan will not be done, or is. */
const NOT_TO_THE_END: ReadonlySet<RunState> = new Set(['turningBack', 'completed', 'aborted', 'cancelled']);

/**
 * What is left of the plan, and until when. Workflow time: in a query it stands still at the last thing that the run has heard of, so
 * the answer says as of when it is.
 */
export function estimateOf(progress: Progress): { readonly estimatedEnd: string | null; readonly estimate?: Estimate } {
  const expected = progress.plan?.expected;
  const state = stateOf(progress);
  if (expected === undefined || progress.aborting || NOT_TO_THE_END.has(state)) return { estimatedEnd: null };
  const now = Date.now();
  const isMeasured = isMostlyKnown(progress, expected);
  const pace = paceFactor(progress.pace, isMeasured);
  const left = (after: boolean) =>
    timeLeft({
      legs: progress.legs
        .map((leg, index) => legLeft(progress, expected, { leg, index, pace, now, after }))
        .slice(progress.verified),
      endMs: progress.ending ? 0 : expected.endMs * pace,
    });
  const seconds = Math.round(left(false) / 1_000);
  const unknown = unknownOf(progress, expected);
  const goesOn = GOING_ON.has(state) && !progress.abortAtBoundary && unknown.length === 0;
  return {
    estimatedEnd: goesOn ? new Date(now + seconds * 1_000).toISOString() : null,
    estimate: {
      seconds,
      secondsAfterCurrent: Math.round(left(true) / 1_000),
      asOf: new Date(now).toISOString(),
      basis: isMeasured ? 'earlierRuns' : progress.pace.steps >= FEWEST_STEPS ? 'thisRun' : 'guess',
      unknown,
    },
  };
}

function isMostlyKnown(progress: Progress, { known, data = [] }: Expected): boolean {
  const { total } = stepsOf(progress);
  return total > 0 && 2 * (known + data.filter(({ ms }) => ms !== null).length) >= total;
}

interface At {
  readonly leg: LegProgress;
  readonly index: number;
  /** By what expected times are multiplied. */
  readonly pace: number;
  readonly now: number;
  /** As if what is under way had just ended. */
  readonly after: boolean;
}

function legLeft(progress: Progress, expected: Expected, at: At): LegLeft {
  const { leg, pace } = at;
  return {
    databases: Object.keys(leg.steps).map((database) => ({
      stepMs: stepsLeft(progress, expected, database, at),
      dataMs: dataLeft(progress, expected, database, at).map(({ ms }) => ms ?? 0),
    })),
    boundaryMs: expected.legMs * pace * (leg.closed ? 0.5 : 1),
  };
}

function stepsLeft(progress: Progress, { stepMs }: Expected, database: DatabaseName, at: At): number[] {
  const { leg, index, pace } = at;
  const before = progress.legs.slice(0, index).reduce((sum, { steps }) => sum + (steps[database] ?? 0), 0);
  const rest = (stepMs[database] ?? [])
    .slice(before + (leg.done[database] ?? 0), before + (leg.steps[database] ?? 0))
    .map((ms) => ms * pace);
  const [first] = rest;
  if (first === undefined || index !== progress.leg || progress.moving.has(database)) return rest;
  return [underWay(progress, database, first, at), ...rest.slice(1)];
}

function underWay({ began, parked }: Progress, database: DatabaseName, ms: number, { now, after }: At): number {
  const since = began.get(database);
  if (since === undefined || parked.has(database)) return ms;
  return after ? 0 : Math.max(0, ms - (now - since));
}

/** Of one leg and database, in their order; null: nobody knows. */
function dataLeft(
  progress: Progress,
  { data = [] }: Expected,
  database: DatabaseName,
  at: At,
): { readonly id: string; readonly ms: number | null }[] {
  const all = data.filter((each) => each.leg === at.index && each.database === database);
  return all
    .filter((each) => !isMoved(progress, at.leg, each))
    .map(({ id, ms }) => {
      if (progress.moving.get(database)?.id !== id) return { id, ms };
      const told = progress.figures.get(database)?.secondsLeft ?? null;
      if (told !== null && !at.after) return { id, ms: told * 1_000 };
      return { id, ms: ms === null ? null : underWay(progress, database, ms, at) };
    });
}

function isMoved({ data }: Progress, leg: LegProgress, { database, id }: ExpectedData): boolean {
  if (leg.closed || (leg.dataDone?.[database] ?? 0) >= (leg.data?.[database] ?? 0)) return true;
  return data.get(database)?.some((step) => step.id === id && step.done) === true;
}

function unknownOf(progress: Progress, expected: Expected): string[] {
  const { legs, verified, plan } = progress;
  const data = legs.flatMap((leg, index) =>
    Object.keys(leg.steps).flatMap((database) =>
      dataLeft(progress, expected, database, { leg, index, pace: 1, now: 0, after: false })
        .filter(({ ms }) => ms === null)
        .map(({ id }) => `${database} data migration ${id}`),
    ),
  );
  const stops = (plan?.stops ?? []).filter((index) => index >= verified);
  return [...data, ...stops.map((index) => `the stop at ${legs[index]?.release}`)];
}

/** Of a data migration of the current leg, as the estimate counts it. */
export function dataSecondsLeft(
  progress: Progress,
  database: DatabaseName,
  id: string,
): { readonly secondsLeft?: number | null } {
  const expected = progress.plan?.expected;
  const index = progress.leg;
  const leg = index === null ? undefined : progress.legs[index];
  if (expected === undefined || index === null || leg === undefined) return {};
  const at = { leg, index, pace: 1, now: Date.now(), after: false };
  const found = dataLeft(progress, expected, database, at).find((each) => each.id === id);
  return found === undefined ? {} : { secondsLeft: found.ms === null ? null : Math.round(found.ms / 1_000) };
}
