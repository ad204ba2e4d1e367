import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { DataStepRef, StepRef } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType } from '../contract/errors.js';
import type { Parked } from '../contract/messages.js';
import { during, Stuck } from './failures.js';
import { untilResumed } from './holding.js';
import { notify } from './notices.js';
import { now } from './progress.js';
import { isStopping, type Run, unlessAborted, yieldClaims } from './run.js';

/** Where a run can get stuck. */
export interface Place {
  /** null: the whole instance. */
  readonly database: DatabaseName | null;
  readonly step?: StepRef;
  readonly data?: DataStepRef;
  /** 0-based, of the release that the databases are compared with. */
  readonly leg?: number;
  /** Databases whose claims the work needs: taken before it where they are missing, given back while it is parked. */
  readonly claims: readonly DatabaseName[];
}

/** A newer claim that we did not make ourselves comes back at once: twice may be a reset's echo, three times is a rival. */
const STALE_IN_A_ROW = 3;

/**
 * Carries out `work`, parking each time it is stuck and going on when an operator says `retryStep`.
 * @returns undefined: the run stops before the work could be done.
 */
export async function untilDone<T>(run: Run, place: Place, work: () => Promise<T>): Promise<T | undefined> {
  const { parked, tokens } = run.progress;
  let stale = 0;
  // An entry that is there already was carried over from the earlier part of this run.
  if (parked.has(keyOf(place))) {
    if (!(await operatorSaysRetry(run, place))) return undefined;
    if (run.progress.paused && !(await untilResumed(run, place.claims))) return undefined;
  }
  for (;;) {
    try {
      await claimMissing(run, place.claims);
      return await work();
    } catch (error) {
      if (isCancellation(error)) {
        // An abort cancels the scopes of `unlessAborted` only; a cancellation of the workflow, the scope around us.
        if (run.progress.aborting && !CancellationScope.current().consideredCancelled) return undefined;
        throw error;
      }
      if (!(error instanceof Stuck)) throw error;
      if (error.failure === FailureType.StaleAttempt && ++stale < STALE_IN_A_ROW && !run.progress.aborting) {
        place.claims.forEach((database) => tokens.delete(database));
        continue;
      }
      stale = 0;
      if (!(await park(run, place, error))) return undefined;
      if (run.progress.paused && !(await untilResumed(run, place.claims))) return undefined;
    }
  }
}

async function park(run: Run, place: Place, stuck: Stuck): Promise<boolean> {
  if (run.progress.aborting) return false;
  const parked: Parked = {
    database: place.database,
    seq: place.step?.seq ?? null,
    migration: place.step?.migration ?? place.data?.id ?? null,
    during: stuck.during,
    failure: stuck.failure,
    message: stuck.message,
    reasons: stuck.reasons,
    ...(place.leg === undefined ? {} : { leg: place.leg + 1 }),
    since: now(),
  };
  run.progress.parked.set(keyOf(place), parked);
  run.show();
  notify(run, 'parked', { parked });
  await yieldClaims(run, place.claims, 'parked');
  return operatorSaysRetry(run, place);
}

/** `retryStep` removes the entry, `abort` all entries. A continuation takes the entry along; whole instances wait here. */
async function operatorSaysRetry(run: Run, place: Place): Promise<boolean> {
  const { progress } = run;
  await condition(
    () => !progress.parked.has(keyOf(place)) || progress.aborting || (place.database !== null && isStopping(run)),
  );
  run.show();
  return !progress.aborting && !progress.parked.has(keyOf(place));
}

export async function claimMissing(run: Run, databases: readonly DatabaseName[]): Promise<void> {
  const { progress, proxies } = run;
  const missing = databases.filter((database) => !progress.tokens.has(database));
  if (missing.length === 0 || !progress.plan) return;
  const { instance } = progress.input;
  const { owner, takeOver } = progress;
  const { plan, servers } = progress.plan;
  const { tokens } = await during('claim', () =>
    unlessAborted(run, () =>
      proxies.claim({
        instance,
        run: progress.run,
        plan,
        owner,
        databases: missing,
        takeOver,
        ...(servers ? { servers } : {}),
      }),
    ),
  );
  progress.takeOver = false;
  for (const [database, token] of Object.entries(tokens)) progress.tokens.set(database, token);
}

/** Every database that does not wait for a person: a parked one's claim stays given back until somebody decides. */
export function wholeInstance({ progress }: Run): Place {
  const databases = progress.plan?.databases ?? [];
  return { database: null, claims: databases.filter((database) => !progress.parked.has(database)) };
}

function keyOf({ database }: Place): string {
  return database ?? '';
}
