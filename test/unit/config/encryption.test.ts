import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { resolvePayloadKeys } from '../../../src/config/encryption.js';
import { parseConfig } from '../../../src/config/load.js';
import type { UnwindError } from '../../../src/contract/errors.js';

const parse = (keys: string) =>
  parseConfig(`temporal:\n  encryption: { keys: [${keys}] }\n`, '/etc/pg-unwind/pg-unwind.yaml').temporal.encryption;

const refused = (keys: string) => {
  try {
    parse(keys);
  } catch (error) {
    return (error as UnwindError).message;
  }
  throw new Error('nothing was refused');
};

const keyOf = async (value: string) => {
  const keys = await resolvePayloadKeys(parse('{ id: spring, secret: { env: KEY } }'), { KEY: value });
  return keys[0];
};

describe('temporal.encryption', () => {
  test('names its keys by reference, files relative to the configuration', () => {
    expect(parse('{ id: spring, secret: { file: spring.key } }')?.keys).toEqual([
      { id: 'spring', secret: { kind: 'file', path: '/etc/pg-unwind/spring.key' } },
    ]);
  });

  test('takes no key in the file itself, no two of one id, and not none', () => {
    const secret = randomBytes(32).toString('base64');
    const message = refused(`{ id: spring, secret: "${secret}" }`);
    expect(message).toContain('a key does not belong in this file');
    expect(message).not.toContain(secret);
    expect(refused('{ id: a, secret: { env: A } }, { id: a, secret: { env: B } }')).toContain('has two keys of one id');
    expect(refused('')).toContain('leave "encryption" out to encrypt nothing');
  });

  test('a key is 32 bytes in base64; anything else is refused without being shown', async () => {
    const secret = randomBytes(32);
    expect(await keyOf(`${secret.toString('base64')}\n`)).toEqual({ id: 'spring', secret });
    for (const wrong of ['swordfish', randomBytes(16).toString('base64'), `${secret.toString('base64')}!`]) {
      const message = await keyOf(wrong).then(String, (error: Error) => error.message);
      expect(message).toContain('The key "spring" of temporal.encryption cannot be used: the environment variable KEY');
      expect(message).toContain('openssl rand -base64 32');
      expect(message).not.toContain(wrong);
    }
  });
});
