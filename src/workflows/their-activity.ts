import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { Poller } from '../contract/activities.js';
import { FailureType } from '../contract/errors.js';
import type { Parked } from '../contract/messages.js';
import { settledByHand, Stuck } from './failures.js';
import { now } from './progress.js';
import { isStopping, type Run } from './run.js';

/** A call of an activity that is not ours: on a task queue of the user's, in any language that has a Temporal SDK. */
export interface TheirCall {
  readonly taskQueue: string;
  readonly type: string;
  /** Unique among the pending ones of a run. */
  readonly activityId: string;
  readonly summary: string;
  /** One plain JSON object. It is in Temporal's history: no secret, no row. */
  readonly input: unknown;
  readonly timeouts: TheirTimeouts;
  /** Where the run is stuck when the call cannot be had, the type under which it parks, and what a person does then. */
  readonly during: Parked['during'];
  readonly failure: FailureType;
  readonly goOn: string;
}

export interface TheirTimeouts {
  /** One attempt, from its start. */
  readonly callSeconds: number;
  /** A worker that has said nothing for this long is taken for dead; null: found out when `callSeconds` have passed. */
  readonly heartbeatSeconds: number | null;
  /** Attempts at what they throw, and at time-outs, before the run parks. */
  readonly attempts?: number;
}

export type TheirAnswer = { readonly kind: 'answered'; readonly answer: unknown } | { readonly kind: 'stopped' };

const ATTEMPTS = 5;
/** With the question of who polls it makes "nobody polls" known within a minute. */
const WAIT_SECONDS = 40;
/** What they say goes into status and journal as they said it: as much as a person reads. */
const MOST_WORDS = 300;

/**
 * Carries out one call. While somebody polls the queue it waits for as long as they are busy, and says so in the status.
 * @returns `stopped`: the run stops, and nobody had begun the call.
 * @throws {Stuck} HandlerUnavailable: nobody polls; `call.failure`: its attempts are spent. A cancellation passes as it is.
 */
export async function callTheirs(run: Run, call: TheirCall): Promise<TheirAnswer> {
  const { waiting } = run.progress;
  const waitSeconds = run.progress.plan?.options.workerWaitSeconds ?? WAIT_SECONDS;
  try {
    for (;;) {
      try {
        return { kind: 'answered', answer: await attempts(call, waitSeconds) };
      } catch (error) {
        if (isCancellation(error) && CancellationScope.current().consideredCancelled) throw error;
        if (!isUnstarted(error)) throw theirFailure(error, call);
      }
      if (isStopping(run)) return { kind: 'stopped' };
      const seen = await lastPoller(run, call);
      waiting.set(call.activityId, waitingText(call, seen));
      run.show();
    }
  } finally {
    if (waiting.delete(call.activityId)) run.show();
  }
}

/** One call with all its attempts; whoever is to begin it has `waitSeconds`. What goes wrong comes as Temporal says it. */
export function attempts(
  call: Pick<TheirCall, 'taskQueue' | 'type' | 'activityId' | 'summary' | 'input' | 'timeouts'>,
  waitSeconds: number,
): Promise<unknown> {
  const { callSeconds, heartbeatSeconds, attempts: most = ATTEMPTS } = call.timeouts;
  const theirs = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
    taskQueue: call.taskQueue,
    scheduleToStartTimeout: `${waitSeconds}s`,
    startToCloseTimeout: `${callSeconds}s`,
    ...(heartbeatSeconds === null ? {} : { heartbeatTimeout: `${heartbeatSeconds}s` }),
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s', maximumAttempts: most },
    // Whoever paused or aborted is told that nothing runs any more: that must be so. One that sends no heartbeat cannot hear of a
    // cancellation, and ends first.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  });
  const activity = theirs[call.type];
  if (activity === undefined) throw new Error(`no proxy for ${call.type}`);
  return activity.executeWithOptions({ activityId: call.activityId, summary: call.summary }, [call.input]);
}

function isUnstarted(error: unknown): boolean {
  return (
    error instanceof ActivityFailure &&
    error.cause instanceof TimeoutFailure &&
    error.cause.timeoutType === 'SCHEDULE_TO_START'
  );
}

/**
 * A worker that died a minute ago is still among those that the server has seen; for five minutes. Nothing tells it from one whose
 * hands are full, so both are waited for.
 * @throws {Stuck} HandlerUnavailable: there is none.
 */
async function lastPoller(run: Run, call: TheirCall): Promise<Poller | null> {
  const { taskQueue, type } = call;
  let pollers: readonly Poller[];
  try {
    ({ pollers } = await run.proxies.askPollers({ taskQueue }));
  } catch (error) {
    if (isCancellation(error)) throw error;
    return null;
  }
  const last = pollers.toSorted((one, other) => one.secondsAgo - other.secondsAgo)[0];
  if (last !== undefined) return last;
  throw new Stuck(
    call.during,
    FailureType.HandlerUnavailable,
    `Nobody polls the task queue "${taskQueue}", so the activity "${type}" cannot be called. It was not begun. Start the worker that ` +
      `serves "${type}" on "${taskQueue}" in the namespace "${run.progress.owner.namespace}", then send the update "retryStep".`,
    { taskQueue, type },
  );
}

function waitingText({ taskQueue, type }: TheirCall, seen: Poller | null): string {
  const what = `a worker of the task queue "${taskQueue}" to begin the activity "${type}"`;
  if (seen === null) return `${what}; the server does not say whether anybody polls it`;
  return `${what}; it was last polled ${seen.secondsAgo} s before ${now()}, by ${cut(seen.identity, 100)}, which is busy or gone`;
}

/** Their own words are in Temporal's history already: what they throw is theirs to keep clean. */
function theirFailure(error: unknown, call: TheirCall): unknown {
  if (!(error instanceof ActivityFailure)) return error;
  const { cause } = error;
  if (cause instanceof ApplicationFailure && !cause.type) {
    return settledByHand(call.during, `failed${cause.message ? `, saying "${cut(cause.message, MOST_WORDS)}"` : ''}`);
  }
  const { taskQueue, type } = call;
  return new Stuck(
    call.during,
    call.failure,
    `The activity "${type}" on the task queue "${taskQueue}" ${whatHappened(cause, call)}. ${call.goOn}`,
    { taskQueue, type },
  );
}

function whatHappened(cause: unknown, { type, timeouts }: TheirCall): string {
  if (cause instanceof TimeoutFailure) {
    return cause.timeoutType === 'HEARTBEAT'
      ? `sent no heartbeat for ${timeouts.heartbeatSeconds} s, at its last attempt too: its worker died, or it does not beat`
      : `did not end within ${timeouts.callSeconds} s, at its last attempt too`;
  }
  if (cause instanceof ApplicationFailure) {
    const words = cut(cause.message, MOST_WORDS);
    // As the SDKs say it: TypeScript and Python, Go, Java.
    if (/not registered|unable to find activity/i.test(cause.message)) {
      return `is not registered: a worker polls the queue, and does not know the type "${type}" (${words})`;
    }
    return `failed${cause.nonRetryable ? '' : ', at its last attempt too'}: ${cause.type}: ${words}`;
  }
  return `failed: ${cut(cause instanceof Error ? cause.message : 'without a word', MOST_WORDS)}`;
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
