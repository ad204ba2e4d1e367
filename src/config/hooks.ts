import { z } from 'zod';
import { HOOKS, type HookKind, type HookKinds, type HookName } from '../contract/hooks.js';
import type { Instance } from './instances.js';
import { referenceSchema } from './reference.js';

const text = z.string().min(1, 'must not be empty');

const HOW_URL =
  'write it as https://host/path, or, where it holds a token, as { env: NAME }, { file: PATH } or { command: [program, argument, …] }';
const HOW_SECRET = 'write exactly one of { env: NAME }, { file: PATH } or { command: [program, argument, …] }';

const urlSchema = referenceSchema(HOW_URL, (given) => {
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol))
    return `is not an http or https URL: ${HOW_URL}`;
  const { username, password } = new URL(given);
  return username === '' && password === '' ? null : `holds a user or password, which is not sent: ${HOW_URL}`;
});
const secretSchema = referenceSchema(
  HOW_SECRET,
  () => `a secret does not belong in this file (files are copied and committed): ${HOW_SECRET}`,
);

/** Exactly one of the three: config/hook-problems.ts says so, together with all other problems. */
const hookSchema = z.strictObject({
  webhook: z.strictObject({ url: urlSchema, secret: secretSchema.optional() }).optional(),
  /** Without a shell; where relative, from the folder of this file. */
  command: z.array(text).min(1, 'must name a program').optional(),
  activity: z
    .strictObject({
      taskQueue: text,
      type: text,
      /** A worker of theirs that says nothing for this long is taken for dead; null: theirs need not beat. */
      heartbeatSeconds: z.number().int().min(1).max(86_400).nullable().default(null),
    })
    .optional(),
  /** How long one call may take; null: what fits its kind. */
  timeoutSeconds: z.number().int().min(1).max(604_800).nullable().default(null),
  /** Calls before the run parks, where a later one may help. */
  attempts: z.number().int().min(1).max(10_000).default(10),
});

export const hooksSchema = z.partialRecord(z.enum(HOOKS), hookSchema);

export type HookConfig = z.infer<typeof hookSchema>;
export type HooksConfig = z.infer<typeof hooksSchema>;

/** A call over the network is answered at once or by `continue`; programs and people's activities do the work themselves. */
const TIMEOUT_SECONDS: Readonly<Record<HookKind, number>> = { webhook: 30, command: 600, activity: 3_600 };

/** The instance's own, else its product's. */
export function hookOf({ hooks, product }: Instance, name: HookName): HookConfig | undefined {
  return hooks[name] ?? product.hooks[name];
}

export function hookKindsOf(instance: Instance): HookKinds {
  const kinds = HOOKS.flatMap((name) => {
    const hook = hookOf(instance, name);
    return hook === undefined ? [] : [[name, kindOf(hook)] as const];
  });
  return Object.fromEntries(kinds);
}

export function kindOf({ webhook, command }: HookConfig): HookKind {
  if (webhook !== undefined) return 'webhook';
  return command === undefined ? 'activity' : 'command';
}

export function timeoutOf(hook: HookConfig): number {
  return hook.timeoutSeconds ?? TIMEOUT_SECONDS[kindOf(hook)];
}
