import type { HaltHook, HookKinds } from '../contract/hooks.js';
import type { Plan } from '../contract/plan.js';

/** Where a run of the plan stands still, and what happens there. */
export interface Turns {
  readonly stops?: readonly number[];
  readonly hooks?: HookKinds;
}

/** For programs. Empty where nothing of it is asked for or configured. */
export function turnsOf(plan: Plan, stops: readonly number[] | undefined, hooks: HookKinds | undefined): object {
  return {
    ...(stops === undefined ? {} : { stops: stops.map((leg) => ({ leg, release: plan.legs[leg]?.release ?? null })) }),
    ...(hooks === undefined ? {} : { hooks }),
  };
}

/** `Stop 1 of 2 at v1.1.0: the webhook hooks.atStop is called.`; empty where the leg ends at no stop. */
export function stopLines(instance: string, plan: Plan, leg: number, { stops = [], hooks = {} }: Turns): string[] {
  const number = stops.indexOf(leg) + 1;
  if (number === 0) return [];
  const release = plan.legs[leg]?.release ?? '';
  const head = `Stop ${number} of ${stops.length} at ${release}:`;
  if (hooks.atStop !== undefined) return [`${head} ${called(hooks, 'atStop')}.`];
  return [`${head} it waits for you. "pg-unwind continue ${instance} --release ${release}" goes on.`];
}

export function beforeLines({ hooks = {} }: Turns): string[] {
  return hooks.before === undefined ? [] : [`First ${called(hooks, 'before')}.`, ''];
}

export function afterLines({ hooks = {} }: Turns): string[] {
  return hooks.after === undefined ? [] : [`At the end ${called(hooks, 'after')}.`, ''];
}

function called(hooks: HookKinds, name: HaltHook): string {
  return `the ${hooks[name]} hooks.${name} is called`;
}
