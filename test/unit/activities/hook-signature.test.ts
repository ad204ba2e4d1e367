import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { signedHeaders } from '../../../src/activities/hook-signature.js';
import { repository } from '../../support/shared.js';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const body = '{"hook":"atStop","release":"v5.9.0 – π"}';
const now = () => Math.floor(Date.now() / 1_000);

test('the check that docs/in-turns.md shows to receivers takes what we sign, and nothing else', async () => {
  const [, code = ''] =
    /^```js\n([^]*?)^```$/m.exec(readFileSync(path.join(repository, 'docs/in-turns.md'), 'utf8')) ?? [];
  const { isGenuine } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as {
    isGenuine: (headers: Record<string, string>, body: string, secret: string) => boolean;
  };
  const headers = signedHeaders('run-atStop-1', body, secret, now());
  expect(isGenuine(headers, body, secret)).toBe(true);
  expect(isGenuine(headers, body.replace('v5.9.0', 'v5.8.0'), secret)).toBe(false);
  expect(isGenuine({ ...headers, 'webhook-id': 'run-atStop-2' }, body, secret)).toBe(false);
  expect(isGenuine(headers, body, `whsec_${Buffer.alloc(32, 8).toString('base64')}`)).toBe(false);
  expect(isGenuine({}, body, secret)).toBe(false);
  expect(isGenuine(signedHeaders('run-atStop-1', body, secret, now() - 301), body, secret)).toBe(false);
});

test('the signature is the one of the specification, computed by openssl', () => {
  // printf '%s' 'msg_1.1700000000.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07 (32 times) -binary | base64
  expect(signedHeaders('msg_1', '{"a":1}', secret, 1_700_000_000)).toEqual({
    'webhook-id': 'msg_1',
    'webhook-timestamp': '1700000000',
    'webhook-signature': 'v1,LInk7lWC3DLGgRP3k/Xpm933fgj/SEGrik4mpkLgnKE=',
  });
});
