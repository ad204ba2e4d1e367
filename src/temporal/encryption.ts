import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';
import { FailureType, UnwindError } from '../contract/errors.js';

export interface PayloadKey {
  /** Stands beside what it encrypts, in plain text. */
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Buffer;
}

// a CommonJS package that names none of its exports in a way that Node's own loader sees
const { temporal } = createRequire(import.meta.url)('@temporalio/proto') as typeof import('@temporalio/proto');
const { Payload: WholePayload } = temporal.api.common.v1;

export const ENCRYPTED = 'binary/encrypted';
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts with the first key, decrypts with whichever is named. What is not encrypted is passed through, so that a start, a query or an
 * update in plain JSON is understood. Without keys everything is, but for a payload that is encrypted: that is an error that says so.
 *
 * The form is that of Temporal's examples, so that the codecs of other languages read it: a nonce of 12 bytes, the payload as a whole
 * (its metadata too), and a tag of 16 bytes.
 */
export function createEncryption(keys: readonly PayloadKey[]): PayloadCodec {
  const [first] = keys;
  return {
    // async: what throws is a promise that is rejected
    encode: async (payloads) => (first === undefined ? payloads : payloads.map((it) => encrypt(it, first))),
    decode: async (payloads) => payloads.map((it) => (isEncrypted(it) ? decrypt(it, keys) : it)),
  };
}

export function clientDataConverter(keys: readonly PayloadKey[]): DataConverter {
  return { payloadCodecs: [createEncryption(keys)] };
}

/** Of failures the SDK gives a codec only the details: message and stack are hidden by a converter, in workflows too. */
export function workerDataConverter(keys: readonly PayloadKey[]): DataConverter {
  if (keys.length === 0) return clientDataConverter(keys);
  const failureConverterPath = fileURLToPath(new URL('./encrypted-failures.js', import.meta.url));
  return { ...clientDataConverter(keys), failureConverterPath };
}

export function isEncrypted({ metadata }: Payload): boolean {
  return textOf(metadata?.['encoding']) === ENCRYPTED;
}

export function keyIdOf({ metadata }: Payload): string {
  return textOf(metadata?.['encryption-key-id']);
}

function encrypt(payload: Payload, { id, secret }: PayloadKey): Payload {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, secret, nonce);
  const plain = WholePayload.encode(payload).finish();
  return {
    metadata: { encoding: Buffer.from(ENCRYPTED), 'encryption-key-id': Buffer.from(id) },
    data: Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
  };
}

function decrypt(payload: Payload, keys: readonly PayloadKey[]): Payload {
  const id = keyIdOf(payload);
  const key = keys.find((it) => it.id === id);
  if (key === undefined) throw unreadable(id, keys, 'and that key is not here');
  const data = Buffer.from(payload.data ?? []);
  try {
    const decipher = createDecipheriv(CIPHER, key.secret, data.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(data.subarray(-TAG_BYTES));
    const plain = [decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
    return WholePayload.decode(Buffer.concat(plain));
  } catch {
    throw unreadable(id, keys, 'and the key of that name here does not open it');
  }
}

function unreadable(id: string, keys: readonly PayloadKey[], why: string): UnwindError {
  const known = keys.length === 0 ? 'none is configured' : `here are: ${keys.map((it) => it.id).join(', ')}`;
  return new UnwindError(
    FailureType.InvalidConfig,
    `What Temporal holds is encrypted with the key "${id}", ${why} (${known}). Nothing was changed, and the run goes on where it stands. ` +
      'Give this process the key under temporal.encryption.keys, then try again.',
    { details: { key: id } },
  );
}

function textOf(value: Uint8Array | null | undefined): string {
  return value ? Buffer.from(value).toString('utf8') : '';
}
