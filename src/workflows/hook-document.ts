import type { PlanSummary } from '../contract/activities.js';
import { type HookCall, hookKey, type HookResult } from '../contract/hooks.js';
import { type Halt, type Progress, stepsOf, sum } from './progress.js';

/** What the hook is given at which a run stands still. */
export function callOf(progress: Progress, plan: PlanSummary, { hook, leg, release }: Halt): HookCall {
  const { stops = [] } = plan;
  const stop = hook === 'atStop' && leg !== null ? { number: stops.indexOf(leg) + 1, of: stops.length } : null;
  const { version, instance, namespace, workflowId, run, next, legs, releasesLeft, ...way } = placeOf(
    progress,
    plan,
    leg === null ? 0 : leg + 1,
  );
  // In the order of the documentation: people read it as it comes.
  return {
    version,
    hook,
    instance,
    namespace,
    workflowId,
    run,
    plan: plan.plan,
    ...way,
    release,
    next: hook === 'after' ? null : next,
    leg: leg === null ? null : leg + 1,
    legs,
    stop,
    releasesLeft,
    idempotencyKey: hookKey(progress.run, hook, leg === null ? null : leg + 1),
    result: hook === 'after' ? resultOf(progress) : null,
  };
}

type Place = Pick<
  HookCall,
  | 'version'
  | 'instance'
  | 'namespace'
  | 'workflowId'
  | 'run'
  | 'direction'
  | 'from'
  | 'to'
  | 'next'
  | 'legs'
  | 'releasesLeft'
>;

/** @param behind - Legs that lie behind the run. */
export function placeOf(progress: Progress, plan: PlanSummary | null, behind: number): Place {
  const { owner, run, direction, input, legs } = progress;
  const nextStop = plan?.stops?.find((each) => each >= behind);
  return {
    version: 1,
    instance: input.instance,
    namespace: owner.namespace,
    workflowId: owner.workflowId,
    run,
    direction,
    from: plan?.from ?? input.from ?? null,
    to: plan?.to ?? input.to,
    next: (nextStop === undefined ? undefined : legs[nextStop]?.release) ?? plan?.to ?? input.to,
    legs: legs.length,
    releasesLeft: legs.slice(behind).map((each) => each.release),
  };
}

export function resultOf(progress: Progress): HookResult {
  const { done, total } = stepsOf(progress);
  const drift = Object.fromEntries([...progress.drift].map(([database, places]) => [database, places.length]));
  return {
    outcome: 'completed',
    stepsDone: done,
    stepsTotal: total,
    warnings: progress.warnings.size,
    drift: sum(drift),
  };
}
