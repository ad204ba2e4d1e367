import type { LegRef, PlanSummary, ReadLegInput } from '../contract/activities.js';
import { describeWriter } from '../contract/writers.js';
import { FailureType } from '../contract/errors.js';
import { during, Stuck } from './failures.js';
import { unlessPaused, untilResumed } from './holding.js';
import { untilDone, wholeInstance } from './parking.js';
import { ownDatabases, warn } from './progress.js';
import { isStopping, type Run, unlessAborted } from './run.js';

/** `hasWaited`: sessions of others were there, and could write until they were gone. */
export type ReadAlone = LegRef & { readonly hasWaited: boolean };

/**
 * Where a leg stands; by the instance's policy not before the sessions of others are gone. Undefined: the run stops.
 * @param how - What is asked beside that.
 */
export async function readWhenAlone(
  run: Run,
  plan: PlanSummary,
  leg: number,
  how: Pick<ReadLegInput, 'besideWriters'> = {},
): Promise<ReadAlone | undefined> {
  const { progress } = run;
  let hasWaited = false;
  const input = { instance: progress.input.instance, run: progress.run, plan: plan.plan, leg };
  for (;;) {
    const read = await untilDone(run, wholeInstance(run), () =>
      during('plan', () =>
        unlessAborted(run, () => run.proxies.readLeg({ ...input, ...ownDatabases(progress), ...how })),
      ).catch((error: unknown) => {
        hasWaited ||= error instanceof Stuck && error.failure === FailureType.ActiveWriters;
        throw error;
      }),
    );
    if (read?.writers?.policy !== 'wait') {
      for (const writer of read?.writers?.found ?? []) {
        const text = `${describeWriter(writer)} is connected: stop the services of the product, or exempt it ("options.writers")`;
        warn(progress, `${writer.database} writers ${writer.role} ${writer.application}`, text);
      }
      return read && { ...read, hasWaited: hasWaited || read.writersLeft === true };
    }
    hasWaited = true;
    if (isStopping(run) || !(await untilGone(run, plan, read))) return undefined;
  }
}

/** They may come and go meanwhile: the journal and the sessions are asked again afterwards. False: the run stops. */
async function untilGone(run: Run, plan: PlanSummary, { release, writers }: LegRef): Promise<boolean> {
  const { progress } = run;
  if (progress.paused && !(await untilResumed(run, plan.databases))) return false;
  progress.writers = writers?.found ?? [];
  progress.phase = 'waiting';
  run.show();
  const outcome = await untilDone(run, { database: null, claims: [] }, () =>
    unlessPaused(run, () =>
      during('plan', () =>
        unlessAborted(run, () =>
          run.proxies.awaitWriters({ instance: progress.input.instance, release, ...ownDatabases(progress) }),
        ),
      ),
    ),
  );
  const passed = outcome === 'paused' ? await untilResumed(run, plan.databases) : outcome !== undefined;
  progress.writers = [];
  progress.phase = 'running';
  if (passed) run.show();
  return passed && !isStopping(run);
}
