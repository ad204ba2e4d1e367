import { describeWriters } from '../contract/writers.js';
import type { DatabaseProgress, HookProgress, StatusReport } from '../contract/messages.js';
import { dataActivityId, hookActivityId } from '../contract/ids.js';
import { type Move, movesOf } from './moves.js';
import { dataSecondsLeft, estimateOf } from './estimate.js';
import { type Halt, isHalted, keyOfHalt, type Progress, stateOf, stepsOf, stepsOfDatabase } from './progress.js';
import type { DataStepRef } from '../contract/activities.js';
import type { DataBeat } from '../contract/data-activities.js';

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
            ...boundariesOf(progress, database),
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
        ...figuresOf(progress, database, step),
        ...dataSecondsLeft(progress, database, step.id),
      })),
    ),
    ...(progress.writers.length === 0 ? {} : { writers: progress.writers }),
    ...hookOf(progress),
    ...(progress.phase === 'awaitingApproval' && !progress.approved && plan?.losses ? { losses: plan.losses } : {}),
    ...(progress.restorePoints === null ? {} : { restorePoints: progress.restorePoints }),
    ...(Object.keys(progress.options).length === 0 ? {} : { options: progress.options }),
    waitingFor: waitingFor(progress),
    ...estimateOf(progress),
    parked: [...progress.parked.values()],
    decisions: progress.decisions,
    warnings: [...progress.warnings.values()],
    drift: Object.fromEntries(progress.drift),
    ...(progress.asked === null
      ? {}
      : { dataMigration: plan?.data ?? { id: progress.asked.id, direction: progress.asked.direction } }),
  };
}

function boundariesOf({ legs }: Progress, database: string): Pick<DatabaseProgress, 'boundaries'> {
  if (legs.length < 2) return {};
  let steps = 0;
  return { boundaries: legs.map((leg) => (steps += (leg.steps[database] ?? 0) + (leg.data?.[database] ?? 0))) };
}

/** Of data that calls of the product's own move; all else is in heartbeats. */
function figuresOf(progress: Progress, database: string, step: DataStepRef): { figures?: DataBeat } {
  const figures = progress.figures.get(database);
  if (figures === undefined || progress.moving.get(database)?.id !== step.id) return {};
  const waiting = progress.waiting.get(dataActivityId(database, step.id, step.act));
  return { figures: waiting === undefined ? figures : { ...figures, doing: `waits for ${waiting}` } };
}

/** In words, with what to send; null: for nobody. */
export function waitingFor(progress: Progress): string | null {
  const { plan } = progress;
  const state = stateOf(progress);
  if (progress.turningBack) return `what runs to end; then the instance goes back to ${plan?.from ?? 'where it was'}`;
  if (progress.aborting && progress.phase !== 'aborted') {
    return 'the steps that are running to end; then the run ends as aborted (a cancel of the workflow interrupts them)';
  }
  if (state === 'needsOperator') {
    const places = [...progress.parked.values()].map(
      ({ database, during, failure }) => `${database ?? 'the instance'} (${during}: ${failure})`,
    );
    return `the update ${eitherOf(movesOf(progress))} for ${places.join(', ')}`;
  }
  if (state === 'paused') {
    const running = progress.tokens.size > 0;
    return `the update "resume" or "abort"${running ? '; what is running ends first' : ''}`;
  }
  if (state === 'waiting') {
    return (
      `sessions of others to end, before ${progress.asked === null ? `the leg to ${progress.legs[progress.leg ?? 0]?.release}` : 'it'} begins: ` +
      `${describeWriters(progress.writers)}. Stop these services, or send the update "abort"`
    );
  }
  if (state === 'atStop' && progress.halt) return waitingAt(progress, progress.halt);
  if (state === 'awaitingApproval' && plan) {
    const consented = progress.input.acceptDataLoss;
    return (
      `the update "approve" with {"plan":"${plan.plan}"} or "abort": ` +
      `${plan.destructiveSteps} of ${stepsOf(progress).total} steps lose content` +
      (consented === undefined ? '' : `; "acceptDataLoss" consents to another plan, ${consented}`)
    );
  }
  if (progress.waiting.size > 0) return [...progress.waiting.values()].join('; ');
  if (progress.abortAtBoundary) return 'the next release boundary: the run ends there, as aborted';
  return null;
}

/** `"retryStep", "skipStep" or "abort"`. */
function eitherOf(moves: readonly Move[]): string {
  const names = [...new Set(moves.map(({ name }) => `"${name}"`))];
  return [names.slice(0, -1).join(', '), ...names.slice(-1)].filter((text) => text !== '').join(' or ');
}

function waitingAt(progress: Progress, halt: Halt): string {
  const { hook } = hookOf(progress);
  const where = halt.release === null ? 'between two releases' : `at ${halt.release}`;
  if (hook?.state === 'calling')
    return `the ${hook.kind} hooks.${hook.name} to answer${calledText(progress)}: all databases stand ${where}`;
  const follows = halt.hook === 'atStop' && !hook ? ', and the application can follow' : '';
  const taken = hook ? `; hooks.${hook.name} has taken it up` : '';
  return `the update "continue" or "abort": all databases stand ${where}${follows}${taken}`;
}

/** Empty where the run is at none. */
function hookOf(progress: Progress): { readonly hook?: HookProgress } {
  const { halt, plan, answered } = progress;
  const kind = halt ? plan?.hooks?.[halt.hook] : undefined;
  if (!halt || kind === undefined || !isHalted(progress)) return {};
  const state = answered.has(keyOfHalt(halt)) ? 'waiting' : 'calling';
  return { hook: { name: halt.hook, kind, state, activityId: hookActivityId(halt.hook, halt.release) } };
}

function calledText({ waiting }: Progress): string {
  return waiting.size > 0 ? ` (waits for ${[...waiting.values()].join('; ')})` : '';
}
