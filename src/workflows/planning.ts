import { ApplicationFailure, condition, upsertMemo } from '@temporalio/workflow';
import type { PlanSummary } from '../contract/activities.js';
import { FATAL, type FailureType } from '../contract/errors.js';
import type { DataInput } from '../contract/input.js';
import { UpdateName } from '../contract/messages.js';
import type { Outlets } from '../contract/notices.js';
import { recordConsent } from './decisions.js';
import { during, Stuck } from './failures.js';
import { memoOf } from './memo.js';
import { notify } from './notices.js';
import { untilDone } from './parking.js';
import { adoptPlan, now, sum } from './progress.js';
import { createProxies } from './proxies.js';
import { type Run, unlessAborted } from './run.js';

/**
 * Has the plan made and stored, unless an earlier part of this run brought it along.
 * @returns undefined: aborted before there was one.
 * @throws {ApplicationFailure} of a type in FATAL: what was asked for cannot be done, whatever anybody decides.
 */
export async function makePlan(run: Run): Promise<PlanSummary | undefined> {
  const { progress } = run;
  if (progress.plan) return progress.plan;
  const { direction, owner, input } = progress;
  const asked = {
    instance: input.instance,
    direction,
    to: input.to,
    from: input.from ?? null,
    owner,
    run: progress.run,
    ...(input.via === undefined ? {} : { via: input.via }),
    ...(input.turnsBack === undefined ? {} : { turnsBack: input.turnsBack }),
    ...(input.acceptDataLoss === undefined ? {} : { consentTo: input.acceptDataLoss }),
  };
  const isFatal = (failure: string) => FATAL.has(failure as FailureType);
  return adopted(run, isFatal, () => run.proxies.makePlan(asked));
}

/**
 * The same for one data migration by itself. Nothing is under way yet, and it is easily started again: whatever is in its way refuses
 * it, so that nobody finds it parked a week later.
 */
export async function makeDataPlan(run: Run, { instance, id, direction }: DataInput): Promise<PlanSummary | undefined> {
  const { progress } = run;
  if (progress.plan) return progress.plan;
  const { owner, takeOver } = progress;
  const asked = { instance, id, direction, owner, takeOver, run: progress.run };
  return adopted(
    run,
    () => true,
    () => run.proxies.makeDataPlan(asked),
  );
}

async function adopted(
  run: Run,
  isFatal: (failure: string) => boolean,
  ask: () => Promise<PlanSummary>,
): Promise<PlanSummary | undefined> {
  const { progress } = run;
  const plan = await untilDone(run, { database: null, claims: [] }, async () => {
    try {
      return await during('plan', () => unlessAborted(run, ask));
    } catch (error) {
      if (error instanceof Stuck) progress.outlets = outletsIn(error) ?? progress.outlets;
      if (error instanceof Stuck && isFatal(error.failure)) {
        throw ApplicationFailure.create({
          type: error.failure,
          message: error.message,
          details: [error.details],
          nonRetryable: true,
        });
      }
      throw error; // a cancellation too: untilDone looks at it first
    }
  });
  if (!plan) return undefined;
  adoptPlan(progress, plan);
  run.proxies = createProxies(progress);
  if (plan.memo) upsertMemo(memoOf(progress, plan));
  run.show();
  return plan;
}

function outletsIn({ details: { outlets } }: Stuck): Outlets | undefined {
  return outlets as Outlets | undefined; // as: written by our own activity
}

/** Is there nothing to carry out, not even a release to be recorded? */
export function isAlreadyThere(plan: PlanSummary): boolean {
  return plan.legs.every((leg) => leg.closed && sum(leg.steps) === 0);
}

/**
 * Promise 7: a plan that destroys waits for consent to this very plan, by input or by the update `approve`.
 * @returns false: aborted instead.
 */
export async function consentGiven(run: Run, plan: PlanSummary): Promise<boolean> {
  const { progress } = run;
  if (plan.destructiveSteps === 0 || progress.approved) return true;
  if (progress.input.acceptDataLoss === plan.plan) {
    const decision = { kind: UpdateName.approve, by: progress.input.by ?? null, why: null, at: now() };
    const recorded = await untilDone(run, { database: null, claims: [] }, () =>
      during('plan', () => recordConsent(run, plan, decision, 'input')),
    );
    return recorded ?? false;
  }
  progress.phase = 'awaitingApproval';
  run.show();
  notify(run, 'awaitingApproval');
  await condition(() => progress.approved || progress.aborting);
  progress.phase = 'running';
  run.show();
  return !progress.aborting;
}
