import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { PlanSummary } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { isStopping, type Run, yieldClaims } from './run.js';

/**
 * A paused run begins nothing: whoever comes to the end of what runs gives its claims back here and waits.
 * @returns false: the run stops meanwhile.
 */
export async function untilResumed(run: Run, databases: readonly DatabaseName[]): Promise<boolean> {
  const { progress } = run;
  while (progress.paused && !isStopping(run)) {
    await yieldClaims(run, databases, 'paused');
    run.show();
    await condition(() => !progress.paused || isStopping(run));
  }
  return !isStopping(run);
}

/** Databases that wait at the barrier already when the pause comes: nobody else would give their claims back. */
export async function yieldWaiting(run: Run): Promise<void> {
  const { phase, current, moving, tokens } = run.progress;
  if (phase !== 'running') return; // a boundary that is being closed needs all claims, and gives them back behind it
  const waiting = [...tokens.keys()].filter((database) => !current.has(database) && !moving.has(database));
  await yieldClaims(run, waiting, 'paused');
}

/** Work that a pause interrupts, because all that it has done is durable and it goes on where it was. */
export async function unlessPaused<T>({ progress, movable }: Run, work: () => Promise<T>): Promise<T | 'paused'> {
  const scope = new CancellationScope();
  movable.add(scope);
  try {
    return await scope.run(work);
  } catch (error) {
    const outer = CancellationScope.current().consideredCancelled || progress.aborting;
    if (isCancellation(error) && scope.consideredCancelled && !outer) return 'paused';
    throw error;
  } finally {
    movable.delete(scope);
  }
}

/**
 * Behind a leg that `via` names the run waits for the update `continue`, with its claims given back: the application follows now.
 * @returns false: the run stops there.
 */
export async function passStop(run: Run, plan: PlanSummary, leg: number): Promise<boolean> {
  const { progress } = run;
  const isStop = plan.stops?.includes(leg) === true;
  if (!isStop || progress.stopsPassed > leg) return true;
  progress.atStop = leg;
  progress.phase = 'atStop';
  run.show();
  await yieldClaims(run, plan.databases, 'paused');
  await condition(() => progress.stopsPassed > leg || isStopping(run));
  if (isStopping(run)) return false;
  progress.atStop = null;
  progress.phase = 'running';
  run.show();
  return true;
}
