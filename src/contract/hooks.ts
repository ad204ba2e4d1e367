import type { Direction, PlanId } from './plan.js';

/**
 * What the operator's own side is called for: `before` the first claim of a run, `atStop` at each release that `via` names, `after`
 * the last check; `notify` beside the run, whenever it waits for a person or ends (contract/notices.ts).
 */
export const HOOKS = ['before', 'atStop', 'after', 'notify'] as const;
export type HookName = (typeof HOOKS)[number];
/** Those that a run stands still for. */
export type HaltHook = Exclude<HookName, 'notify'>;
export type HookKind = 'activity' | 'webhook' | 'command';

/** Which hooks a run has. Where they lead is read anew by the worker at each call: neither URL nor secret travels. */
export type HookKinds = Readonly<Partial<Record<HookName, HookKind>>>;

/**
 * What each hook is given, whatever its kind: the body of a webhook, the standard input of a command, the one argument of an
 * activity. Documented in docs/in-turns.md; fields are added, never changed.
 */
export interface HookCall {
  readonly version: 1;
  readonly hook: HaltHook;
  readonly instance: string;
  readonly namespace: string;
  /** Of the run: what the update `continue` is sent to. */
  readonly workflowId: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly direction: Direction;
  /** Null: the way began between two releases. */
  readonly from: string | null;
  readonly to: string;
  /** Where all databases stand now, verified; of `before`, `from`. */
  readonly release: string | null;
  /** The release of the next stop, or the target; null: the run ends here. */
  readonly next: string | null;
  /** The leg behind which the run stands, from 1; null: before the first. */
  readonly leg: number | null;
  readonly legs: number;
  /** Which stop of how many; only of `atStop`. */
  readonly stop: { readonly number: number; readonly of: number } | null;
  /** Releases between here and the end, the target included. */
  readonly releasesLeft: readonly string[];
  /** The same at every attempt, by whatever worker or workflow of this run. */
  readonly idempotencyKey: string;
  /** Only of `after`. */
  readonly result: HookResult | null;
}

export interface HookResult {
  readonly outcome: 'completed';
  readonly stepsDone: number;
  readonly stepsTotal: number;
  readonly warnings: number;
  /** Places in which a database differs from what it was at that release before. */
  readonly drift: number;
}

/**
 * - `done`: go on.
 * - `later`: the hook has taken it up; somebody sends the update `continue`.
 */
export type HookAnswer = 'done' | 'later';

export type HookAnswered =
  | {
      readonly answer: HookAnswer;
      /** `found`: the journal had the answer already, and nobody was called. */
      readonly how: 'called' | 'found';
    }
  /** Nobody has answered yet, and whom to ask the workflow has to call itself: an activity of the operator's. */
  | { readonly answer: 'theirs'; readonly activity: HookActivity };

export interface HookActivity {
  readonly taskQueue: string;
  readonly type: string;
  readonly timeoutSeconds: number;
  readonly heartbeatSeconds: number | null;
  readonly attempts: number;
}

/** What an activity of the operator's may return; anything else, nothing too, is `done`. */
export interface HookResultOfTheirs {
  readonly answer: HookAnswer;
}

export interface AnswerHookInput {
  readonly call: HookCall;
  readonly answer: HookAnswer;
}

/** `<run>-atStop-2`: what a receiver may know a call again by. */
export function hookKey(run: string, hook: HaltHook, leg: number | null): string {
  return leg === null || hook !== 'atStop' ? `${run}-${hook}` : `${run}-${hook}-${leg}`;
}
