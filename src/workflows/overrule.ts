import { defineUpdate, isCancellation, setHandler } from '@temporalio/workflow';
import type { OverruleInput } from '../contract/overrule-activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType } from '../contract/errors.js';
import {
  type AcceptDirtyInput,
  type Decision,
  type SkipStepInput,
  type StatusReport,
  UpdateName,
} from '../contract/messages.js';
import { decide } from './decisions.js';
import { during, Stuck } from './failures.js';
import { refuseAcceptDirty, refuseSkipStep } from './overrule-refusals.js';
import { claimMissing } from './parking.js';
import { type Progress, warn } from './progress.js';
import { refuse } from './refusals.js';
import { type Run, unlessAborted, yieldClaims } from './run.js';
import { statusOf } from './status.js';

export const acceptDirtyUpdate = defineUpdate<StatusReport, [AcceptDirtyInput | undefined]>(UpdateName.acceptDirty);
export const skipStepUpdate = defineUpdate<StatusReport, [SkipStepInput | undefined]>(UpdateName.skipStep);

/** The updates with which an operator passes over what a check has found, or takes a step over. */
export function acceptOverruling(run: Run): void {
  const { progress } = run;

  setHandler(
    acceptDirtyUpdate,
    async (input) => {
      const { key, entry, reason } = refuseAcceptDirty(progress, input);
      const leg = entry.leg === undefined ? null : entry.leg - 1;
      await overrule(run, key, reason.database, decide(UpdateName.acceptDirty, input), (order) =>
        run.proxies.acceptDirty({ ...order, reason, leg }),
      );
      return statusOf(progress);
    },
    {
      description:
        'Accept one reason of a dirty check as it was shown: {"code":"<code>","why":"<reason>"}, with "database" where several are parked.',
      validator: (input) => void refuseAcceptDirty(progress, input),
    },
  );

  setHandler(
    skipStepUpdate,
    async (input) => {
      const { key, entry, database, seq, ledger } = refuseSkipStep(progress, input);
      const decision = decide(UpdateName.skipStep, input);
      const { direction } = progress;
      const migration = entry.migration ?? '';
      const leg = legOf(progress, database, seq);
      await overrule(run, key, database, decision, (order) =>
        run.proxies.skipStep({ ...order, leg, seq, migration, direction, ledger }),
      );
      const who = decision.by ?? 'an operator';
      const text = `${database} ${migration} (step ${seq}) was not run here but taken over by ${who}: ${decision.why}`;
      warn(progress, `${database} ${seq} taken over`, text);
      return statusOf(progress);
    },
    {
      description:
        'Take over the step at which a database is parked, which is then not run: {"ledger":"record"|"keep","why":"<reason>"}.',
      validator: (input) => void refuseSkipStep(progress, input),
    },
  );
}

/**
 * Claims the database, lets it record and carry out the decision in one transaction, and goes on as `retryStep` does. Where that
 * is refused, the database stays parked, with what is found there now.
 */
async function overrule(
  run: Run,
  key: string,
  database: DatabaseName,
  decision: Decision,
  work: (order: OverruleInput) => Promise<void>,
): Promise<void> {
  const { progress } = run;
  const { input, plan } = progress;
  if (!plan) refuse('There is no plan any more.'); // nothing is parked at a step without one
  progress.overruling.add(key);
  try {
    await claimMissing(run, [database]);
    const { by, why, at } = decision;
    const token = progress.tokens.get(database) ?? '';
    const order = { instance: input.instance, run: progress.run, plan: plan.plan, database, token, by, why, at };
    await during('check', () => unlessAborted(run, () => work(order)));
  } catch (error) {
    const ended = isCancellation(error) || (error instanceof Stuck && error.failure === FailureType.StaleAttempt);
    if (ended && progress.aborting) refuse('The run is being aborted, and goes on from here no more.');
    if (!(error instanceof Stuck)) throw error;
    const entry = progress.parked.get(key);
    const others = entry?.reasons.filter((reason) => reason.database !== database) ?? [];
    if (entry && error.reasons.length > 0) {
      progress.parked.set(key, { ...entry, reasons: [...error.reasons, ...others] });
    }
    await yieldClaims(run, [database], 'parked');
    refuse(error.message, error.failure);
  } finally {
    progress.overruling.delete(key);
    run.show();
  }
  progress.decisions.push(decision);
  progress.parked.delete(key);
  run.show();
}

/** 0-based. */
function legOf({ legs }: Progress, database: DatabaseName, seq: number): number {
  let last = 0;
  return legs.findIndex((leg) => (last += leg.steps[database] ?? 0) >= seq);
}
