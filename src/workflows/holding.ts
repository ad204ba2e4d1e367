import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
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
export function unlessPaused<T>(run: Run, work: () => Promise<T>): Promise<T | 'paused'> {
  return unlessEnded(run, run.movable, 'paused', work);
}

/** A call that an operator's `continue` ends. */
export function unlessContinued<T>(run: Run, work: () => Promise<T>): Promise<T | 'continued'> {
  return unlessEnded(run, run.calls, 'continued', work);
}

async function unlessEnded<T, const E>(
  { progress }: Run,
  scopes: Set<CancellationScope>,
  ended: E,
  work: () => Promise<T>,
): Promise<T | E> {
  const scope = new CancellationScope();
  scopes.add(scope);
  try {
    return await scope.run(work);
  } catch (error) {
    const outer = CancellationScope.current().consideredCancelled || progress.aborting;
    if (isCancellation(error) && scope.consideredCancelled && !outer) return ended;
    throw error;
  } finally {
    scopes.delete(scope);
  }
}
