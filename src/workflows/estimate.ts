import type { DatabaseName } from '../contract/catalog.js';
import type { Estimate, Expected, ExpectedData } from '../contract/estimate.js';
import type { RunState } from '../contract/messages.js';
import { type DatabaseLeft, FEWEST_STEPS, type LegLeft, paceFactor, timeLeft } from '../plan/time-left.js';
import { type Progress, stateOf, stepsOf } from './progress.js';

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
      legs: legsLeft(progress, expected, { pace, now, after }),
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
  readonly index: number;
  /** By what expected times are multiplied. */
  readonly pace: number;
  readonly now: number;
  /** As if what is under way had just ended. */
  readonly after: boolean;
}

/** At each step of the run this is counted anew, within its task: plain loops, which are ten times as fast as lists of what is left. */
function legsLeft(progress: Progress, expected: Expected, how: Omit<At, 'index'>): LegLeft[] {
  const { legs, verified, plan } = progress;
  const { pace, now, after } = how;
  const before: Record<DatabaseName, number> = {};
  const left: LegLeft[] = [];
  for (const [index, leg] of legs.entries()) {
    const at = { index, pace, now, after };
    const databases: DatabaseLeft[] = [];
    for (const database of plan?.databases ?? []) {
      const from = before[database] ?? 0;
      before[database] = from + (leg.steps[database] ?? 0);
      if (index < verified) continue;
      const schemaMs = schemaLeft(progress, expected.stepMs[database] ?? [], from, database, at);
      databases.push({ schemaMs, dataMs: sumOf(dataLeft(progress, expected, database, at)) });
    }
    if (index >= verified) left.push({ databases, boundaryMs: expected.legMs * pace * (leg.closed ? 0.5 : 1) });
  }
  return left;
}

/** @param from steps of the legs before. */
function schemaLeft(
  progress: Progress,
  stepMs: readonly number[],
  from: number,
  database: DatabaseName,
  at: At,
): number {
  const { index, pace } = at;
  const leg = progress.legs[index];
  const next = from + (leg?.done[database] ?? 0);
  const end = from + (leg?.steps[database] ?? 0);
  if (next >= end) return 0;
  const first = (stepMs[next] ?? 0) * pace;
  let rest = 0;
  for (let step = next + 1; step < end; step += 1) rest += stepMs[step] ?? 0;
  const isNow = index === progress.leg && !progress.moving.has(database);
  return (isNow ? underWay(progress, database, first, at) : first) + rest * pace;
}

function underWay({ began, parked }: Progress, database: DatabaseName, ms: number, { now, after }: At): number {
  const since = began.get(database);
  if (since === undefined || parked.has(database)) return ms;
  return after ? 0 : Math.max(0, ms - (now - since));
}

interface DataLeft {
  readonly id: string;
  /** Null: nobody knows. */
  readonly ms: number | null;
}

const NONE: readonly DataLeft[] = [];

/** Of one leg and database, in their order. */
function dataLeft(progress: Progress, { data }: Expected, database: DatabaseName, at: At): readonly DataLeft[] {
  if (data === undefined) return NONE;
  return data
    .filter((each) => each.leg === at.index && each.database === database && !isMoved(progress, each))
    .map(({ id, ms }) => {
      if (progress.moving.get(database)?.id !== id) return { id, ms };
      const told = progress.figures.get(database)?.secondsLeft ?? null;
      if (told !== null && !at.after) return { id, ms: told * 1_000 };
      return { id, ms: ms === null ? null : underWay(progress, database, ms, at) };
    });
}

function isMoved({ legs, data }: Progress, { database, id, leg: index }: ExpectedData): boolean {
  const leg = legs[index];
  if (leg === undefined || leg.closed || (leg.dataDone?.[database] ?? 0) >= (leg.data?.[database] ?? 0)) return true;
  return data.get(database)?.some((step) => step.id === id && step.done) === true;
}

function sumOf(data: readonly DataLeft[]): number {
  return data.reduce((sum, { ms }) => sum + (ms ?? 0), 0);
}

function unknownOf(progress: Progress, expected: Expected): string[] {
  const { legs, verified, plan } = progress;
  const data: string[] = [];
  for (const index of expected.data === undefined ? [] : legs.keys()) {
    for (const database of plan?.databases ?? []) {
      const left = dataLeft(progress, expected, database, { index, pace: 1, now: 0, after: false });
      data.push(...left.filter(({ ms }) => ms === null).map(({ id }) => `${database} data migration ${id}`));
    }
  }
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
  if (expected === undefined || index === null) return {};
  const at = { index, pace: 1, now: Date.now(), after: false };
  const found = dataLeft(progress, expected, database, at).find((each) => each.id === id);
  return found === undefined ? {} : { secondsLeft: found.ms === null ? null : Math.round(found.ms / 1_000) };
}
