import { z } from 'zod';
import { FailureType, UnwindError } from '../contract/errors.js';
import { referenceSchema, type ConnectionReference } from './reference.js';
import { describeReference, resolveText } from './secrets.js';

const HOW_KEY = 'write exactly one of { env: NAME }, { file: PATH } or { command: [program, argument, …] }';

const keySchema = z.strictObject({
  /** Stands in Temporal in plain text, beside what the key encrypts. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'is 1 to 100 letters, digits, ".", "_" or "-"'),
  secret: referenceSchema(
    HOW_KEY,
    () => `a key does not belong in this file (files are copied and committed): ${HOW_KEY}`,
  ),
});

export const encryptionSchema = z.strictObject({
  /** The first encrypts, each decrypts. */
  keys: z
    .array(keySchema)
    .min(1, 'needs one key at least; leave "encryption" out to encrypt nothing')
    .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, 'has two keys of one id'),
});

export type EncryptionConfig = z.infer<typeof encryptionSchema>;

/** AES-256. */
const KEY_BYTES = 32;

export interface ResolvedPayloadKey {
  readonly id: string;
  readonly secret: Buffer;
}

/**
 * Fetches the keys of payloads; none where nothing is to be encrypted.
 * @throws {UnwindError} InvalidConfig: names the reference and what is wrong with it, never the value.
 */
export function resolvePayloadKeys(
  encryption: EncryptionConfig | null,
  env: NodeJS.ProcessEnv,
): Promise<readonly ResolvedPayloadKey[]> {
  return Promise.all(
    (encryption?.keys ?? []).map(async ({ id, secret }) => ({ id, secret: await keyOf(id, secret, env) })),
  );
}

async function keyOf(id: string, reference: ConnectionReference, env: NodeJS.ProcessEnv): Promise<Buffer> {
  const what = `key "${id}" of temporal.encryption`;
  const text = await resolveText(reference, { what, env });
  const bytes = Buffer.from(text, 'base64');
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(text) && bytes.length === KEY_BYTES) return bytes;
  throw new UnwindError(
    FailureType.InvalidConfig,
    `The ${what} cannot be used: ${describeReference(reference)} does not hold ${KEY_BYTES} bytes in base64. Nothing was done. ` +
      'Make one with "openssl rand -base64 32", and keep it as long as runs that it encrypted are to be read.',
    { details: { key: id } },
  );
}
