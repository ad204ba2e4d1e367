import { z } from 'zod';
import type { PlanSummary } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { HookAnswer } from '../contract/hooks.js';
import type { RestorePoint } from '../contract/losses.js';
import type { Decision, Parked } from '../contract/messages.js';
import type { RunOptionsGiven } from '../contract/run-options.js';
import type { Pace } from '../plan/time-left.js';

/** What a run hands to its own next part when its history grows long. The plan's steps are not in it: the journal has them. */
export interface Carried {
  readonly run: string;
  /** With the counts of this moment in its legs. */
  readonly plan: PlanSummary;
  readonly approved: boolean;
  readonly takeOver: boolean;
  /** Legs that are closed and verified. */
  readonly verified: number;
  readonly tokens: Readonly<Record<DatabaseName, string>>;
  /** Databases that wait for a person go on waiting: no claim, no step. */
  readonly parked: readonly Parked[];
  readonly timelines: Readonly<Record<DatabaseName, number>>;
  /** Left out where nobody has paused it, or no stop was passed and no hook called. */
  readonly paused?: Decision;
  readonly abortAtBoundary?: true;
  readonly options?: RunOptionsGiven;
  readonly answered?: Readonly<Record<string, HookAnswer>>;
  /** Left out where nobody was notified. */
  readonly notices?: { readonly count: number; readonly halt: string | null };
  /** Left out as long as nothing is destroyed; a leg that is begun asks the journal anew. */
  readonly restorePoints?: Readonly<Record<DatabaseName, RestorePoint>>;
  /** Calls of a data migration's handler that moved nothing, by database; left out where there were none. */
  readonly unmoved?: Readonly<Record<DatabaseName, number>>;
  /** Left out before the first step. */
  readonly pace?: Pace;
  readonly decisions: readonly Decision[];
  readonly warnings: readonly (readonly [key: string, text: string])[];
  readonly drift: Readonly<Record<DatabaseName, readonly string[]>>;
}

// Only as deep as a stranger's second argument needs: what is written here is read back by the same code.
const carriedSchema = z.looseObject({
  run: z.string(),
  plan: z.looseObject({ plan: z.string(), databases: z.array(z.string()), legs: z.array(z.unknown()) }),
  approved: z.boolean(),
  takeOver: z.boolean(),
  verified: z.int().nonnegative(),
  tokens: z.record(z.string(), z.string()),
  parked: z.array(z.unknown()),
  timelines: z.record(z.string(), z.number()),
  decisions: z.array(z.unknown()),
  warnings: z.array(z.tuple([z.string(), z.string()])),
  drift: z.record(z.string(), z.array(z.string())),
});

/**
 * @throws {UnwindError} InvalidInput: a second argument that no run of ours has written.
 */
export function parseCarried(value: unknown): Carried | null {
  if (value === undefined || value === null) return null;
  if (carriedSchema.safeParse(value).success) return value as Carried; // as: checked just now, to the depth that matters
  throw new UnwindError(
    FailureType.InvalidInput,
    'A run takes one JSON object; the second argument is for its own continuation. Nothing was done. Start again with one.',
  );
}
