import type { StatusReport } from '../contract/messages.js';
import { dataActivityId } from '../contract/ids.js';
import { describeWriters } from '../contract/writers.js';
import { type Progress, stateOf, stepsOf, stepsOfDatabase } from './progress.js';

/** The answer of the query and of every update. */
export function statusOf(progress: Progress): StatusReport {
  const { plan, leg } = progress;
  const { done, total } = stepsOf(progress);
  return {
    instance: progress.input.instance,
    direction: progress.direction,
    state: stateOf(progress),
    plan: plan?.plan ?? null,
    run: progress.run,
    from: plan?.from ?? progress.input.from ?? null,
    to: plan?.to ?? progress.input.to,
    leg: leg === null ? null : leg + 1,
    legs: progress.legs.length,
    release: leg === null ? null : (progress.legs[leg]?.release ?? null),
    stepsDone: done,
    stepsTotal: total,
    databases: Object.fromEntries(
      (plan?.databases ?? []).map((database) => {
        const step = progress.current.get(database);
        return [
          database,
          {
            ...stepsOfDatabase(progress, database),
            current: step ? { seq: step.seq, migration: step.migration, name: step.name } : null,
            lastCheck: progress.lastCheck.get(database) ?? null,
          },
        ];
      }),
    ),
    data: [...progress.data].flatMap(([database, steps]) =>
      steps.map((step) => ({
        ...step,
        database,
        activityId: dataActivityId(database, step.id, step.act),
        running: progress.moving.get(database)?.id === step.id && !progress.parked.has(database),
      })),
    ),
    ...(progress.writers.length === 0 ? {} : { writers: progress.writers }),
    waitingFor: waitingFor(progress),
    parked: [...progress.parked.values()],
    decisions: progress.decisions,
    warnings: [...progress.warnings.values()],
    drift: Object.fromEntries(progress.drift),
  };
}

function waitingFor(progress: Progress): string | null {
  const { plan } = progress;
  const state = stateOf(progress);
  if (progress.aborting && progress.phase !== 'aborted') {
    return 'the steps that are running to end; then the run ends as aborted (a cancel of the workflow interrupts them)';
  }
  if (state === 'needsOperator') {
    const places = [...progress.parked.values()].map(
      ({ database, during, failure }) => `${database ?? 'the instance'} (${during}: ${failure})`,
    );
    return `the update "retryStep" or "abort" for ${places.join(', ')}`;
  }
  if (state === 'paused') {
    const running = progress.tokens.size > 0;
    return `the update "resume" or "abort"${running ? '; what is running ends first' : ''}`;
  }
  if (state === 'atStop' && progress.atStop !== null) {
    return `the update "continue" or "abort": all databases stand at ${progress.legs[progress.atStop]?.release}, and the application can follow`;
  }
  if (state === 'waiting') {
    return (
      `sessions of others to end, before the leg to ${progress.legs[progress.leg ?? 0]?.release} begins: ` +
      `${describeWriters(progress.writers)}. Stop these services, or send the update "abort"`
    );
  }
  if (state === 'awaitingApproval' && plan) {
    const consented = progress.input.acceptDataLoss;
    return (
      `the update "approve" with {"plan":"${plan.plan}"} or "abort": ` +
      `${plan.destructiveSteps} of ${stepsOf(progress).total} steps lose content` +
      (consented === undefined ? '' : `; "acceptDataLoss" consents to another plan, ${consented}`)
    );
  }
  if (progress.waiting.size > 0) return [...progress.waiting.values()].join('; ');
  return null;
}
