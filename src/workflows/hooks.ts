import { condition, isCancellation } from '@temporalio/workflow';
import type { PlanSummary } from '../contract/activities.js';
import { FailureType } from '../contract/errors.js';
import {
  type HookActivity,
  type HookAnswer,
  type HookAnswered,
  type HookCall,
  type HookKind,
  type HookResultOfTheirs,
} from '../contract/hooks.js';
import { hookActivityId, hookSummary } from '../contract/ids.js';
import { during, settledByHand } from './failures.js';
import { callOf } from './hook-document.js';
import { unlessContinued, untilResumed } from './holding.js';
import { notifyAtStop } from './notices.js';
import { untilDone } from './parking.js';
import { type Halt, keyOfHalt } from './progress.js';
import { bestEffort, isStopping, type Run, unlessAborted, yieldClaims } from './run.js';
import { callTheirs } from './their-activity.js';

/**
 * Before the first claim. A run that goes on from the journal is past that: it has claimed before.
 * @returns false: the run stops there.
 */
export async function passBefore(run: Run, plan: PlanSummary): Promise<boolean> {
  if (plan.hooks?.before === undefined || plan.resumed) return true;
  return pass(run, plan, { hook: 'before', leg: null, release: plan.from });
}

/** Behind the last check, with the run still open: nobody else may claim the databases until the hook is through. */
export async function passAfter(run: Run, plan: PlanSummary): Promise<boolean> {
  if (plan.hooks?.after === undefined) return true;
  return pass(run, plan, { hook: 'after', leg: run.progress.legs.length - 1, release: plan.to });
}

/** Behind a leg that `via` names the application follows: a hook has it done, or a person who then says `continue`. */
export async function passStop(run: Run, plan: PlanSummary, leg: number): Promise<boolean> {
  if (plan.stops?.includes(leg) !== true) return true;
  return pass(run, plan, { hook: 'atStop', leg, release: plan.legs[leg]?.release ?? null });
}

/** Stands still with the claims given back, until the hook or an operator says that the run goes on. */
async function pass(run: Run, plan: PlanSummary, halt: Halt): Promise<boolean> {
  const { progress } = run;
  const { answered } = progress;
  const key = keyOfHalt(halt);
  if (answered.get(key) === 'done') return true;
  progress.halt = halt;
  progress.phase = 'atStop';
  run.show();
  await yieldClaims(run, plan.databases, 'paused');
  const kind = plan.hooks?.[halt.hook];
  if (kind !== undefined && !answered.has(key)) {
    const answer = await untilAnswered(run, plan, halt, kind);
    if (answer === undefined) return false;
    if (!answered.has(key)) answered.set(key, answer);
    run.show();
  }
  if (answered.get(key) !== 'done' && !isStopping(run)) notifyAtStop(run, halt);
  await condition(() => answered.get(key) === 'done' || isStopping(run));
  if (isStopping(run)) return false;
  progress.halt = null;
  progress.phase = 'running';
  run.show();
  return true;
}

/** Parks where it fails. An operator's `continue` ends the call, and a park, as if it had answered. */
async function untilAnswered(run: Run, plan: PlanSummary, halt: Halt, kind: HookKind): Promise<HookAnswer | undefined> {
  const { progress } = run;
  const isContinued = () => progress.answered.get(keyOfHalt(halt)) === 'done';
  if (progress.paused && !(await untilResumed(run, []))) return undefined;
  return untilDone(run, { database: null, claims: [] }, async () => {
    if (isContinued()) return 'done';
    try {
      const answer = await unlessContinued(run, () => unlessAborted(run, () => call(run, plan, halt, kind)));
      return answer === 'continued' ? 'done' : answer;
    } catch (error) {
      if (!isCancellation(error) && isContinued()) return 'done'; // its failure came together with the operator's word
      throw error;
    }
  });
}

/** Undefined: the run stops, and nobody had begun the call. */
async function call(run: Run, plan: PlanSummary, halt: Halt, kind: HookKind): Promise<HookAnswer | undefined> {
  const document = callOf(run.progress, plan, halt);
  const { stop } = document;
  const activityId = hookActivityId(halt.hook, halt.release);
  const summary = hookSummary(halt.hook, kind, halt.release, stop ? `stop ${stop.number} of ${stop.of}` : '');
  const asking =
    kind === 'activity' ? { activityId: `${activityId}-asked`, summary: `${summary}: called before?` } : null;
  const answered: Partial<HookAnswered> | null = await during('hook', () =>
    run.proxies.callHook(asking ?? { activityId, summary }, document),
  );
  if (answered?.answer === 'done' || answered?.answer === 'later') return answered.answer;
  if (answered?.answer !== 'theirs' || !answered.activity) {
    throw settledByHand('hook', 'completed, with a result that is not one of ours,');
  }
  return callActivity(run, document, answered.activity, { activityId, summary });
}

async function callActivity(
  run: Run,
  document: HookCall,
  { taskQueue, type, timeoutSeconds, heartbeatSeconds, attempts }: HookActivity,
  label: { readonly activityId: string; readonly summary: string },
): Promise<HookAnswer | undefined> {
  const theirs = await callTheirs(run, {
    taskQueue,
    type,
    ...label,
    input: document,
    timeouts: { callSeconds: timeoutSeconds, heartbeatSeconds, attempts },
    during: 'hook',
    failure: FailureType.HookFailed,
    goOn:
      `It is the hook hooks.${document.hook}; of the databases nothing was changed by it. When the cause is gone, send the update ` +
      `"retryStep": it is called again, with the same idempotency key. If somebody has done by hand what it is for, send "continue".`,
  });
  if (theirs.kind === 'stopped') return undefined;
  const result = theirs.answer as Partial<HookResultOfTheirs> | null | undefined; // as: whatever they return, one field is looked at
  const answer = result?.answer === 'later' ? 'later' : 'done';
  await bestEffort(run, `the answer of hooks.${document.hook} could not be written to the journal`, () =>
    run.proxies.answerHook({ call: document, answer }),
  );
  return answer;
}
