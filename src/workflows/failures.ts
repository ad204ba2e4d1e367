import {
  ActivityFailure,
  ApplicationFailure,
  ContinueAsNew,
  DeterminismViolationError,
  isCancellation,
  TemporalFailure,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { DirtyReason } from '../contract/dirty.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Parked } from '../contract/messages.js';

/**
 * Something that a repeat by itself cannot cure. Thrown where it happens and always caught by `untilDone` (parking.ts), which
 * parks; never leaves the workflow.
 */
export class Stuck extends Error {
  readonly during: Parked['during'];
  /** A `FailureType`, or `Timeout:<kind>`. */
  readonly failure: string;
  /** What the activity's failure had for programs; its `reasons`, if any, are DirtyReasons. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    during: Parked['during'],
    failure: string,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = 'Stuck';
    this.during = during;
    this.failure = failure;
    this.details = details;
  }

  get reasons(): readonly DirtyReason[] {
    const { reasons } = this.details;
    return Array.isArray(reasons) ? (reasons as DirtyReason[]) : []; // as: written by our own activity or by our own check
  }
}

/**
 * Carries out one activity. Its failure has used up its attempts, or is one that attempts cannot cure.
 * @throws {Stuck} with what the activity said; a cancellation passes as it is.
 */
export async function during<T>(kind: Parked['during'], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const { cause } = error;
    if (cause instanceof ApplicationFailure) {
      // Ours have a type, and so has whatever else a worker throws.
      if (!cause.type) throw settledByHand(kind, `failed${cause.message ? `, saying "${cause.message}"` : ''}`);
      throw new Stuck(kind, cause.type, cause.message, detailsIn(cause));
    }
    if (cause instanceof TimeoutFailure) {
      throw new Stuck(
        kind,
        `Timeout:${cause.timeoutType}`,
        `The activity ${error.activityType} ran out of its time (${cause.timeoutType}). Whether it took effect is in the ` +
          `journal; the next attempt looks there first.`,
      );
    }
    throw new Stuck(kind, FailureType.Unexpected, cause?.message ?? error.message);
  }
}

/** What the activity has done all the same is not known here: it may still be at work, until it hears of it. */
export function settledByHand(kind: Parked['during'], how: string): Stuck {
  return new Stuck(
    kind,
    FailureType.SettledByHand,
    `Not a worker but somebody from outside has ${how} this activity (\`temporal activity complete\` or \`fail\`). What it has ` +
      `really done is in the journal. Send the update "retryStep": it ends what is left of the attempt, and looks there first.`,
  );
}

/** The activities put an UnwindError's one object of details there. */
function detailsIn({ details }: ApplicationFailure): Readonly<Record<string, unknown>> {
  const first: unknown = details?.[0];
  return typeof first === 'object' && first !== null ? { ...first } : {};
}

/**
 * A plain error thrown by workflow code fails the workflow *task*, which is tried again for ever: nobody sees why the run hangs.
 * So every error of ours ends the run; Temporal's own keep their meaning.
 */
export function asWorkflowFailure(error: unknown): unknown {
  if (isCancellation(error) || error instanceof ContinueAsNew || error instanceof DeterminismViolationError)
    return error;
  if (error instanceof TemporalFailure) return error;
  if (error instanceof UnwindError) {
    return ApplicationFailure.create({
      type: error.type,
      message: error.message,
      details: [error.details],
      nonRetryable: true,
    });
  }
  const cause = error instanceof Error ? error : new Error(String(error));
  return ApplicationFailure.create({
    type: FailureType.Unexpected,
    message: `The run met an error of pg-unwind itself: ${cause.message}. The journal holds what was done; a new start goes on there.`,
    nonRetryable: true,
    cause,
  });
}
