import type { StepOutcome, StepRef } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { timeSpent } from '../plan/time-left.js';
import type { Progress } from './progress.js';

/** Steps that an attempt of this run has carried out from begin to end: what anything else took was no work. */
export function notePace(
  progress: Progress,
  database: DatabaseName,
  { seq }: StepRef,
  { how, attempt, tookMs }: StepOutcome,
): void {
  const began = progress.began.get(database);
  const expectedMs = progress.plan?.expected?.stepMs[database]?.[seq - 1];
  if (began === undefined || expectedMs === undefined || attempt !== 1 || (how !== 'ran' && how !== 'empty')) return;
  const { pace } = progress;
  progress.pace = {
    steps: pace.steps + 1,
    spentMs: pace.spentMs + timeSpent(Date.now() - began, tookMs),
    expectedMs: pace.expectedMs + expectedMs,
  };
}
