import {
  allHandlersFinished,
  CancellationScope,
  condition,
  ContinueAsNew,
  isCancellation,
  makeContinueAsNewFunc,
  workflowInfo,
} from '@temporalio/workflow';
import type { UnwindReport } from '../contract/messages.js';
import type { Carried } from './carried.js';
import { recordDecision } from './decisions.js';
import { endAborted, endCancelled } from './ending.js';
import { notify, untilTold } from './notices.js';
import { untilDone, wholeInstance } from './parking.js';
import { carriedOf, now } from './progress.js';
import type { Run } from './run.js';

/**
 * Carries a run to its end, and leaves nothing under way behind it: not when it is cancelled, and not when it goes on in a new history.
 * @param input - What the workflow was started with.
 * @param carryOut - Undefined: the history is long enough, the run goes on in a new one.
 */
export async function conclude(
  run: Run,
  input: unknown,
  carryOut: () => Promise<UnwindReport | undefined>,
): Promise<UnwindReport> {
  try {
    const report = (await carryOut()) ?? (await goOnAfresh(run, input));
    await CancellationScope.nonCancellable(async () => {
      await condition(allHandlersFinished); // what is done is done
      await untilTold(run);
    });
    return { ...report, warnings: [...run.progress.warnings.values()] };
  } catch (error) {
    if (error instanceof ContinueAsNew) throw error;
    await CancellationScope.nonCancellable(async () => {
      if (isCancellation(error)) await endCancelled(run);
      else notify(run, 'failed', { message: failedText(run, error) });
      await condition(allHandlersFinished);
      await untilTold(run);
    });
    throw error;
  }
}

function failedText({ progress }: Run, error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `The run of ${progress.input.instance} failed: ${why} The journal holds what was done; a new start goes on there.`;
}

/**
 * The plan's steps stay in the journal; the position, the claims and what was decided go along.
 * @returns an abort came while it waited: then the run ends in this history.
 */
async function goOnAfresh(run: Run, input: unknown): Promise<UnwindReport> {
  const { progress } = run;
  await condition(allHandlersFinished);
  await untilTold(run);
  await condition(allHandlersFinished); // of updates that came meanwhile
  if (progress.aborting) return endAborted(run);
  if (!progress.plan) throw new Error('a run without a plan has nothing to go on with');
  return afresh()(input, carriedOf(progress, progress.plan));
}

/** The server gives the next part the memo of this one only where it is told to. */
function afresh() {
  const { memo = {} } = workflowInfo();
  return makeContinueAsNewFunc<(input: unknown, carried: Carried) => Promise<unknown>>({ memo });
}

/** False: the run stops. */
export async function claimAll(run: Run): Promise<boolean> {
  if (run.progress.takeOver)
    await recordDecision(run, { kind: 'takeOver', by: run.progress.input.by ?? null, why: null, at: now() }, {});
  return (await untilDone(run, wholeInstance(run), () => Promise.resolve(true))) ?? false;
}
