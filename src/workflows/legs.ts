import type { LegRef, PlanSummary } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType } from '../contract/errors.js';
import { expectClean, unwindDatabase } from './database-chain.js';
import { during, Stuck } from './failures.js';
import { untilResumed } from './holding.js';
import { passStop } from './hooks.js';
import { untilDone, wholeInstance } from './parking.js';
import { moveData } from './data-chain.js';
import { type LegProgress, type Progress, seqAfterAll, sum, warn } from './progress.js';
import { isStopping, type Run, unlessAborted } from './run.js';
import { readWhenAlone } from './writers.js';

/**
 * Promise 6: all databases reach a release boundary before any goes further. From the first leg that is not both closed and
 * verified; false: the run stops.
 */
export async function unwindLegs(run: Run, plan: PlanSummary): Promise<boolean> {
  const { progress } = run;
  for (let index = progress.verified; index < progress.legs.length; index++) {
    if (progress.abortAtBoundary && !isBegun(progress.legs[index])) progress.aborting = true;
    if (isStopping(run)) return false;
    // A run that goes on from the journal may be beyond the stop already: nobody may be told that the databases stand there.
    if (index > 0 && !isBegun(progress.legs[index]) && !(await passStop(run, plan, index - 1))) return false;
    const hasStood = progress.paused !== null || plan.stops?.includes(index - 1) === true;
    if (progress.paused && !(await untilResumed(run, plan.databases))) return false;
    const leg = progress.legs[index];
    if (!leg) return false;
    progress.leg = index;
    progress.phase = 'running';
    run.show();
    for (let behind = false; !leg.closed;) {
      const reached = await reachBoundary(run, plan, index, leg, { mayGoBack: !behind, hasStood });
      if (!reached) return false;
      if (leg.closed) break;
      if (progress.paused && !(await untilResumed(run, plan.databases))) return false;
      progress.phase = reached === 'behind' ? 'running' : 'verifying';
      run.show();
      const recorded = reached === 'behind' ? reached : await recordRelease(run, plan, index, leg, !behind);
      if (recorded === 'behind') {
        behind = true; // once: the lost steps of this leg run again; what is missing before it, nobody here can make
        progress.phase = 'running';
      } else if (!recorded) return false;
    }
    progress.phase = 'verifying';
    run.show();
    if (!(await verifyRelease(run, plan, index))) return false;
    progress.verified = index + 1;
    progress.phase = 'running';
  }
  return true;
}

function isBegun(leg: LegProgress | undefined): boolean {
  return leg !== undefined && (leg.closed || sum(leg.done) + sum(leg.dataDone ?? {}) > 0);
}

/** The one check that belongs to no step: after the last. False: the run stops. */
export async function expectAllClean(run: Run, plan: PlanSummary, claimed: boolean): Promise<boolean> {
  const checks = plan.databases.map((database) =>
    untilDone(run, { database, claims: claimed ? [database] : [] }, async () => {
      await expectClean(run, plan.plan, database, seqAfterAll(run.progress, database));
      return true;
    }),
  );
  return (await allEnd(run.progress, checks)).every((clean) => clean === true);
}

/** Schema first, in all databases; then the data, on the schema of this release. `behind`: as for `recordRelease`. */
async function reachBoundary(
  run: Run,
  plan: PlanSummary,
  index: number,
  leg: LegProgress,
  { mayGoBack, hasStood }: { readonly mayGoBack: boolean; readonly hasStood: boolean },
): Promise<boolean | 'behind'> {
  const { progress } = run;
  const read = await readWhenAlone(run, plan, index);
  if (!read || ((hasStood || read.hasWaited) && !(await isDataAtRest(run, plan, index, read)))) return false;
  leg.done = doneIn(read); // the journal knows better than we do: after a reset the history is behind it
  leg.closed = read.closed;
  if (read.restorePoints) progress.restorePoints = read.restorePoints;
  if (read.data !== undefined) leg.dataDone = dataDoneIn(read.data);
  const chains = plan.databases.map((database) =>
    unwindDatabase(run, plan.plan, index, database, read.steps[database] ?? []),
  );
  await allEnd(progress, chains);
  if (isAborted(progress) || sum(leg.done) !== sum(leg.steps)) return false;
  if (read.data === undefined || read.closed) return true;
  progress.data.clear();
  for (const [database, steps] of Object.entries(read.data)) progress.data.set(database, [...steps]);
  run.show();
  const moved = await allEnd(
    progress,
    plan.databases.map((database) => moveData(run, plan.plan, index, database, mayGoBack)),
  );
  progress.data.clear();
  if (isAborted(progress)) return false;
  return moved.includes('behind') ? 'behind' : sum(leg.dataDone ?? {}) === sum(leg.data ?? {});
}

/**
 * While the run stood at a release, at a stop, paused or until writers had gone, an application was there to write, in the form that
 * has been taken back. So that data is asked once more: behind the wait for writers, and while the schema stands that its queries fit.
 */
async function isDataAtRest(run: Run, plan: PlanSummary, index: number, read: LegRef): Promise<boolean> {
  const hasMoved = run.progress.legs.slice(0, index).some(({ data }) => sum(data ?? {}) > 0);
  const hasBegun = read.closed || sum(doneIn(read)) > 0;
  return !hasMoved || hasBegun || verifyRelease(run, plan, index - 1);
}

/** `behind`: a failover lost commits of this leg, and the caller may go back for them. */
async function recordRelease(
  run: Run,
  plan: PlanSummary,
  index: number,
  leg: LegProgress,
  mayGoBack: boolean,
): Promise<boolean | 'behind'> {
  const { progress } = run;
  const recorded = await untilDone(run, wholeInstance(run), () =>
    during('release', () =>
      run.proxies.recordRelease({
        instance: progress.input.instance,
        run: progress.run,
        plan: plan.plan,
        leg: index,
        tokens: Object.fromEntries(progress.tokens),
      }),
    ).catch((error: unknown) => {
      if (mayGoBack && error instanceof Stuck && error.failure === FailureType.JournalBehind) return 'behind' as const;
      throw error;
    }),
  );
  if (!recorded) return false;
  if (recorded === 'behind') return isAborted(progress) ? false : 'behind';
  leg.closed = true;
  return !isAborted(progress);
}

async function verifyRelease(run: Run, plan: PlanSummary, index: number): Promise<boolean> {
  const { progress } = run;
  const verified = await untilDone(run, { ...wholeInstance(run), leg: index }, async () => {
    const found = await during('verify', () =>
      unlessAborted(run, () =>
        run.proxies.verifyRelease({
          instance: progress.input.instance,
          run: progress.run,
          plan: plan.plan,
          leg: index,
          fingerprint: index === progress.legs.length - 1, // describes every object: worth it where the run ends
        }),
      ),
    );
    if (found.reasons.length === 0) return found;
    throw new Stuck(
      'verify',
      FailureType.DirtyDatabase,
      `All steps to ${found.release} are done, and the databases are not what that release says. ` +
        `Repair what is listed, then send the update "retryStep".`,
      { reasons: found.reasons },
    );
  });
  if (!verified) return false;
  for (const text of verified.warnings ?? []) warn(progress, text, text);
  for (const [database, differences] of Object.entries(verified.drift)) {
    if (differences.length === 0) continue;
    progress.drift.set(database, differences);
    const places = differences.length === 1 ? '1 place' : `${differences.length} places`;
    const text = `${database} differs in ${places} from what it was at ${verified.release} before; see "drift"`;
    warn(progress, `${database} drift`, text);
  }
  return true;
}

export function doneIn(leg: LegRef): Record<DatabaseName, number> {
  return Object.fromEntries(
    Object.entries(leg.steps).map(([database, steps]) => [database, steps.filter(({ done }) => done).length]),
  );
}

export function dataDoneIn(data: NonNullable<LegRef['data']>): Record<DatabaseName, number> {
  return Object.fromEntries(
    Object.entries(data).map(([database, steps]) => [database, steps.filter(({ done }) => done).length]),
  );
}

/** A function, so that the compiler does not take the flag of before an await for the flag of after it. */
function isAborted(progress: Progress): boolean {
  return progress.aborting || progress.broken;
}

/**
 * Waits for all before it throws: a chain left running would act after the run has given its claims back. When one throws, the
 * others begin nothing more (a cancellation reaches them by itself).
 */
async function allEnd<T>(progress: Progress, work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(
    work.map((promise) =>
      promise.catch((error: unknown) => {
        progress.broken = true;
        throw error;
      }),
    ),
  );
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
