import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { ConnectionReference } from '../../../src/config/reference.js';
import { redact, resolveConnection } from '../../../src/config/secrets.js';

const URL_WITH_PASSWORD = 'postgres://app:hunter2@db.example:6543/front%20end';
const folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));

const node = (program: string): ConnectionReference => ({ kind: 'command', argv: [process.execPath, '-e', program] });

describe('a connection string', () => {
  test('comes from the environment, a file or a command, and its label holds no password', async () => {
    const file = path.join(folder, 'url');
    writeFileSync(file, `${URL_WITH_PASSWORD}\n`);
    const expected = { url: URL_WITH_PASSWORD, label: 'front end on db.example:6543 as app' };
    expect(await resolveConnection({ kind: 'env', name: 'A' }, { env: { A: URL_WITH_PASSWORD } })).toEqual(expected);
    expect(await resolveConnection({ kind: 'file', path: file })).toEqual(expected);
    expect(await resolveConnection(node(`console.log(${JSON.stringify(URL_WITH_PASSWORD)})`))).toEqual(expected);
  });

  test('that is not there is an error that names where it was looked for and whose it is', async () => {
    const of = 'acme-eu/frontend';
    const missing = resolveConnection({ kind: 'env', name: 'ACME_URL' }, { env: {}, of });
    await expect(missing).rejects.toThrow(
      /connection string of acme-eu\/frontend .* variable ACME_URL is not set in this process/,
    );
    await expect(resolveConnection({ kind: 'file', path: '/no/such' })).rejects.toThrow(
      'the file /no/such does not exist',
    );
    await expect(resolveConnection({ kind: 'command', argv: ['no-such-program'] })).rejects.toThrow('was not found');
    const slow = resolveConnection(node('setTimeout(() => {}, 60000)'), { commandTimeoutMs: 300 });
    await expect(slow).rejects.toThrow('gave no answer within 300 ms');
  });

  test.each([
    ['', 'is empty'],
    ['host=db password=hunter2', "holds libpq's key=value form"],
    ['mysql://app:hunter2@db/x', 'does not hold a Postgres URL'],
    ['postgres://app:hunter2@db', 'names no database'],
    ['postgres:///hunter2', 'names no host'],
  ])('%j is refused without being repeated', async (value, why) => {
    const failure: unknown = await resolveConnection({ kind: 'env', name: 'A' }, { env: { A: value } }).catch(
      (error: unknown) => error,
    );
    expect(String(failure)).toContain(why);
    expect(String(failure)).not.toContain('hunter2');
  });

  test('a command that fails is named, and neither its arguments nor its output are repeated', async () => {
    const program = node('console.error("hunter2"); console.log("hunter2"); process.exit(3)');
    const failure = (await resolveConnection(program).catch((error: unknown) => error)) as Error;
    expect(failure.message).toContain('failed (exit code 3)');
    expect(JSON.stringify([failure.message, failure.stack, failure.cause])).not.toContain('hunter2');
  });
});

describe('redact', () => {
  test('takes passwords out of URLs and of key=value text', () => {
    expect(redact(`cannot reach ${URL_WITH_PASSWORD}?x=1 now`)).toBe(
      'cannot reach postgres://app:***@db.example:6543/front%20end?x=1 now',
    );
    expect(redact("host=db password='two words' user=a")).toBe('host=db password=*** user=a');
    expect(redact('postgres://a@db/x?password=hunter2&ssl=1')).toBe('postgres://a@db/x?password=***&ssl=1');
    expect(redact('postgres://app:p@ss@db/x')).toBe('postgres://app:***@db/x');
  });

  test('takes known passwords out wherever they stand, encoded or not', () => {
    const known = ['postgres://app:hun%2Fter@db/x'];
    expect(redact('auth failed: hun/ter, hun%2Fter', known)).toBe('auth failed: ***, ***');
  });

  test('leaves everything else as it is', () => {
    const text = 'relation "a" does not exist at https://example.com/a:b, user app@db';
    expect(redact(text, ['postgres://app@db/x'])).toBe(text);
  });
});
