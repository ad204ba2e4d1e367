import { z } from 'zod';
import { BLOCKER_POLICIES } from './blockers.js';
import { FailureType, UnwindError } from './errors.js';

// Temporal's sandbox has no eval for zod to probe; without this it tries, fails and goes on more slowly.
z.config({ jitless: true });

const name = z.string().min(1).max(200);

/** What `temporal workflow start --type downgrade --input '…'` takes. `instance` and `to` are enough. */
export const unwindInputSchema = z.strictObject({
  instance: name,
  to: name,
  /** Guard: fail unless the instance stands exactly at this release. */
  from: name.optional(),
  /** Consent to exactly this plan's losses, given before it runs (see `pg-unwind plan`). */
  acceptDataLoss: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be a plan id: 64 hexadecimal digits')
    .optional(),
  /** Take the databases over from another workflow whose run is still open. */
  takeOver: z.boolean().optional(),
  /** What may be done about sessions in the way of a step, in place of the instance's `options.blockers`. */
  blockers: z.enum(BLOCKER_POLICIES).optional(),
  /** Releases on the way at which the run waits for `continue`, so that the application can follow. */
  via: z.union([z.enum(['every-release', 'every-minor']), z.array(name).min(1).max(500)]).optional(),
  /** The run (of the journal) that this one takes back: written by the update `turnBack`. */
  turnsBack: z.uuid().optional(),
  /** Who starts the run, for the journal. */
  by: name.optional(),
});

/** What `temporal workflow start --type dataMigration --input '…'` takes: one data migration, on the schema that stands. */
export const dataInputSchema = z.strictObject({
  instance: name,
  /** As the catalog has it. */
  id: z.union([name, z.int().nonnegative().transform(String)]),
  direction: z.enum(['forward', 'reverse']),
  /** Take the database over from another workflow whose run is still open. */
  takeOver: z.boolean().optional(),
  /** Who starts the run, for the journal. */
  by: name.optional(),
});

export type DataInput = z.infer<typeof dataInputSchema>;

export type Via = NonNullable<z.infer<typeof unwindInputSchema>['via']>;
export type UnwindInput = z.infer<typeof unwindInputSchema>;

/**
 * @throws {UnwindError} InvalidInput; the message names each field, `details.problems` lists them.
 */
export function parseUnwindInput(value: unknown): UnwindInput {
  return parseInput(unwindInputSchema, value, '{"instance":"acme-eu","to":"v5.8.1579"}');
}

/** @throws {UnwindError} as `parseUnwindInput`. */
export function parseDataInput(value: unknown): DataInput {
  return parseInput(dataInputSchema, value, '{"instance":"acme-eu","id":"7","direction":"forward"}');
}

function parseInput<T>(schema: z.ZodType<T>, value: unknown, example: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `unknown field ${issue.keys.map((key) => `"${key}"`).join(', ')}`
      : `${issue.path.length > 0 ? `"${issue.path.join('.')}"` : 'the input'}: ${issue.message}`,
  );
  throw new UnwindError(
    FailureType.InvalidInput,
    `The input cannot be used: ${problems.join('; ')}. Nothing was done. Start again with one JSON object such as ${example}.`,
    { details: { problems } },
  );
}
