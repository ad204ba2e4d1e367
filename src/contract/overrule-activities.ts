import type { DatabaseName, MigrationId } from './catalog.js';
import type { DirtyReason } from './dirty.js';
import type { LedgerTreatment } from './messages.js';
import type { Direction, PlanId } from './plan.js';

/** What an operator decides over the head of a check or a step: recorded and done in one transaction, under the claim's token. */
export interface OverruleInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly database: DatabaseName;
  readonly token: string;
  readonly by: string | null;
  readonly why: string | null;
  /** ISO 8601, workflow time: a repeat is known by it. */
  readonly at: string;
}

export interface AcceptDirtyActivityInput extends OverruleInput {
  /** As the operator was shown it: nothing else is accepted. */
  readonly reason: DirtyReason;
  /** 0-based, of the release that was being compared; null: at a step. */
  readonly leg: number | null;
}

export interface SkipStepActivityInput extends OverruleInput {
  readonly leg: number;
  readonly seq: number;
  readonly migration: MigrationId;
  readonly direction: Direction;
  readonly ledger: LedgerTreatment;
}
