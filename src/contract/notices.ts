import type { DatabaseName, DataMigrationId, MigrationId } from './catalog.js';
import type { DirtyCode } from './dirty.js';
import type { HookActivity, HookCall, HookKind } from './hooks.js';
import type { PlanId } from './plan.js';

/**
 * What `hooks.notify` is told: that the run waits for a person (`parked`, `awaitingApproval`, `atStop`), or that it has ended (the
 * others).
 */
export type NoticeEvent = 'parked' | 'awaitingApproval' | 'atStop' | 'completed' | 'aborted' | 'cancelled' | 'failed';

/** Documented in docs/in-turns.md; fields are added, never changed. */
export interface Notice extends Omit<HookCall, 'hook' | 'plan'> {
  readonly hook: 'notify';
  /** Null: there is none yet, and `legs` and `releasesLeft` are empty. */
  readonly plan: PlanId | null;
  readonly event: NoticeEvent;
  /** From 1, in the order of the events: a later one may arrive before an earlier one that had to be repeated. */
  readonly number: number;
  /** ISO 8601. */
  readonly at: string;
  /** One or two sentences for people. */
  readonly message: string;
  /** Only of `parked`. */
  readonly parked: ParkedNotice | null;
  /** As the status says it; null: the run has ended. */
  readonly waitingFor: string | null;
  /** To type as they are, the likeliest first. */
  readonly commands: readonly string[];
  /** Of the run of one data migration by itself. */
  readonly dataMigration: { readonly id: DataMigrationId; readonly direction: string } | null;
}

export interface ParkedNotice {
  /** Null: the whole instance. */
  readonly database: DatabaseName | null;
  readonly during: string;
  readonly failure: string;
  readonly migration: MigrationId | null;
  /** Of a dirty database: why. */
  readonly reasons: readonly DirtyCode[];
}

/** How a run is heard of before there is a plan that says so: with the failure of a planning, as `outlets` in its details. */
export interface Outlets {
  readonly searchAttributes: boolean;
  /** Of `hooks.notify`; left out where there is none. */
  readonly notify?: HookKind;
}

/** `told`, or whom to tell the workflow has to call itself. */
export type NoticeAnswer = { readonly told: true } | { readonly told: false; readonly activity: HookActivity };

/** `<run>-notify-3-5f0c2a91`: one of each event, also where a workflow goes on with the run of another and counts anew. */
export function noticeKey(run: string, number: number, unique: string): string {
  return `${run}-notify-${number}-${unique.slice(0, 8)}`;
}
