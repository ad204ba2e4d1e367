import { CancellationScope, isCancellation, log, workflowInfo } from '@temporalio/workflow';
import type { DatabaseName } from '../contract/catalog.js';
import { now, type Progress, warn } from './progress.js';
import { createProxies, type Proxies } from './proxies.js';
import { createShow } from './visible.js';

/** What the parts of one workflow execution share: where it is, how it reaches activities, how it shows itself. */
export interface Run {
  readonly progress: Progress;
  proxies: Proxies;
  readonly show: () => void;
  /** Work that an abort need not wait for. */
  readonly interruptible: Set<CancellationScope>;
  /** Work that a pause interrupts too. */
  readonly movable: Set<CancellationScope>;
  /** Calls of hooks: what `continue` makes needless. */
  readonly calls: Set<CancellationScope>;
  /** Calls of `hooks.notify` that are still under way: the run goes on beside them. */
  readonly notices: Set<Promise<void>>;
}

export function createRun(progress: Progress): Run {
  return {
    progress,
    proxies: createProxies(progress),
    show: createShow(progress),
    interruptible: new Set(),
    movable: new Set(),
    calls: new Set(),
    notices: new Set(),
  };
}

/** No step is begun any more: for an abort, an error of ours, or because the history is long enough to be continued afresh. */
export function isStopping({ progress }: Run): boolean {
  return progress.aborting || progress.broken || workflowInfo().continueAsNewSuggested;
}

/**
 * Reads and claims are tried again for as long as a database is away; an abort must not wait for them. Steps and release
 * markers are never interrupted by an abort.
 * @throws {CancelledFailure} an abort came; `untilDone` tells it from a cancellation of the workflow.
 */
export async function unlessAborted<T>({ progress, interruptible }: Run, work: () => Promise<T>): Promise<T> {
  const scope = new CancellationScope();
  interruptible.add(scope);
  if (progress.aborting) scope.cancel();
  try {
    return await scope.run(work);
  } finally {
    interruptible.delete(scope);
  }
}

/** Gives back what the run holds of these databases; a failure is a warning, since the next claim takes over anyhow. */
export async function yieldClaims(
  run: Run,
  databases: readonly DatabaseName[],
  why: 'parked' | 'paused' | 'ended',
): Promise<void> {
  const { progress, proxies } = run;
  const tokens: Record<DatabaseName, string> = {};
  for (const database of databases) {
    const token = progress.tokens.get(database);
    if (token !== undefined) tokens[database] = token;
    progress.tokens.delete(database); // before the call: nothing may act with a token that is on its way back
  }
  const held = Object.keys(tokens);
  if (held.length === 0) return;
  // A cancel that comes now has to wait: the tokens are taken out already, and nobody else would give them back.
  await bestEffort(run, `the claim on ${held.join(', ')} could not be given back`, () =>
    CancellationScope.nonCancellable(() =>
      proxies.yieldClaim({ instance: progress.input.instance, run: progress.run, databases: held, tokens, why }),
    ),
  );
}

/** For what is good to do and not worth stopping for. */
export async function bestEffort(run: Run, otherwise: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isCancellation(error)) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const text = `${otherwise}: ${cause instanceof Error ? cause.message : String(cause)}`;
    log.warn(text);
    warn(run.progress, otherwise, `${now()} ${text}`);
  }
}
