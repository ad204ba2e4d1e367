import type { LegRef, PlanSummary } from '../contract/activities.js';
import type { DatabaseName, MigrationId } from '../contract/catalog.js';
import type { UnwindReport } from '../contract/messages.js';
import { during } from './failures.js';
import { dataDoneIn, doneIn } from './legs.js';
import { notify } from './notices.js';
import { untilDone } from './parking.js';
import { type LegProgress, ownDatabases, type Progress, stepsOf, sum } from './progress.js';
import { bestEffort, type Run, yieldClaims } from './run.js';

/**
 * Undefined: an abort came while the end could not be recorded.
 * @param outcome - How the run has ended, if nobody aborts it yet.
 */
export async function complete(
  run: Run,
  plan: PlanSummary,
  outcome: 'completed' | 'alreadyThere' = 'completed',
): Promise<UnwindReport | undefined> {
  const { progress } = run;
  progress.ending = true;
  const ended = await untilDone(run, { database: null, claims: [] }, async () => {
    await during('release', () =>
      run.proxies.endRun({
        instance: progress.input.instance,
        run: progress.run,
        ...ownDatabases(progress),
        state: 'completed',
      }),
    );
    return true;
  });
  if (!ended) return undefined;
  progress.leg = null;
  progress.phase = 'completed';
  await yieldClaims(run, plan.databases, 'ended');
  run.show();
  notify(run, 'completed');
  return reportOf(progress, outcome, []);
}

/** Every database is where it should be and was checked: the run was planned and ends there. */
export async function endAlreadyThere(run: Run, plan: PlanSummary): Promise<UnwindReport> {
  run.progress.ending = true;
  await endRunAs(run, 'completed');
  run.progress.phase = 'completed';
  await yieldClaims(run, plan.databases, 'ended');
  run.show();
  notify(run, 'completed');
  return { ...reportOf(run.progress, 'alreadyThere', []), standsAt: plan.to };
}

/** The instance stays where it is: between releases perhaps, but no step half done. */
export async function endAborted(run: Run): Promise<UnwindReport> {
  const { progress } = run;
  const { plan } = progress;
  let remaining: readonly (LegRef | null)[] = [];
  if (plan) {
    await yieldClaims(run, plan.databases, 'ended');
    remaining = await Promise.all(progress.legs.map((leg, index) => readForReport(run, plan, index, leg)));
    await endRunAs(run, 'aborted');
  }
  progress.phase = 'aborted';
  run.show();
  notify(run, 'aborted');
  return reportOf(progress, 'aborted', remaining);
}

/** Must be called where a cancellation does not reach it. */
export async function endCancelled(run: Run): Promise<void> {
  const { progress } = run;
  if (progress.plan) {
    await yieldClaims(run, progress.plan.databases, 'ended');
    await endRunAs(run, 'cancelled');
  }
  progress.phase = 'cancelled';
  progress.parked.clear();
  run.show();
  notify(run, 'cancelled');
}

async function endRunAs(run: Run, state: 'completed' | 'aborted' | 'cancelled'): Promise<void> {
  const { progress, proxies } = run;
  await bestEffort(run, `the run could not be recorded as ${state} (it stays open in the journal)`, () =>
    proxies.endRunOnParting({
      instance: progress.input.instance,
      run: progress.run,
      ...ownDatabases(progress),
      state,
    }),
  );
}

async function readForReport(run: Run, plan: PlanSummary, index: number, leg: LegProgress): Promise<LegRef | null> {
  if (leg.closed) return null; // nothing in it that was not reached
  const { progress, proxies } = run;
  let read: LegRef | null = null;
  await bestEffort(run, 'the steps that were not reached could not be listed', async () => {
    const { instance } = progress.input;
    read = await proxies.readLegOnParting({
      instance,
      run: progress.run,
      plan: plan.plan,
      leg: index,
      ...ownDatabases(progress),
      besideWriters: true,
    });
  });
  return read;
}

function reportOf(
  progress: Progress,
  outcome: UnwindReport['outcome'],
  remaining: readonly (LegRef | null | undefined)[],
): UnwindReport {
  const { plan } = progress;
  const dataMigration = dataReport(progress);
  const legs = progress.legs.map((leg, index) => legReport(leg, remaining[index] ?? null));
  const { total } = stepsOf(progress);
  return {
    instance: progress.input.instance,
    direction: progress.direction,
    outcome,
    plan: plan?.plan ?? null,
    run: progress.run,
    from: plan?.from ?? progress.input.from ?? null,
    to: plan?.to ?? progress.input.to,
    standsAt: progress.legs[progress.verified - 1]?.release ?? null,
    stepsDone: legs.reduce((all, { done, data }) => all + sum(done) + sum(data?.done ?? {}), 0),
    stepsTotal: total,
    legs,
    ...(progress.restorePoints === null ? {} : { restorePoints: progress.restorePoints }),
    decisions: progress.decisions,
    warnings: [...progress.warnings.values()],
    drift: Object.fromEntries(progress.drift),
    ...(dataMigration === null ? {} : { dataMigration }),
  };
}

function dataReport({ plan, moved }: Progress): NonNullable<UnwindReport['dataMigration']> | null {
  if (plan?.data === undefined) return null;
  const { rows = 0, batches = 0, progress = null } = moved.get(plan.data.id) ?? {};
  return { ...plan.data, rows, batches, progress };
}

function legReport(leg: LegProgress, read: LegRef | null): UnwindReport['legs'][number] {
  const notReached: Record<DatabaseName, readonly MigrationId[]> = {};
  for (const database of Object.keys(leg.steps)) {
    notReached[database] = (read?.steps[database] ?? []).filter(({ done }) => !done).map(({ migration }) => migration);
  }
  const report = { release: leg.release, closed: leg.closed, done: read ? doneIn(read) : leg.done, notReached };
  if (leg.data === undefined) return report;
  const done = read?.data ? dataDoneIn(read.data) : (leg.dataDone ?? {});
  const open = Object.entries(leg.data).map(([database]) => [
    database,
    (read?.data?.[database] ?? []).filter((step) => !step.done).map(({ id }) => id),
  ]);
  return { ...report, data: { done, notReached: Object.fromEntries(open) } };
}
