import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';

/**
 * The headers of the Standard Webhooks specification (standardwebhooks.com): who has the secret can tell that the body is ours, and
 * that it is of now.
 * @throws {RangeError} a secret of another form; it says which, and nothing of the value.
 */
export function signedHeaders(id: string, body: string, secret: string, seconds: number): Record<string, string> {
  const signature = createHmac('sha256', keyOf(secret)).update(`${id}.${seconds}.${body}`, 'utf8').digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${signature}` };
}

function keyOf(secret: string): Buffer {
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : '';
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) {
    throw new RangeError(
      'does not have the form "whsec_" and base64, such as `echo whsec_$(openssl rand -base64 32)` prints',
    );
  }
  const key = Buffer.from(encoded, 'base64');
  if (key.length < 16)
    throw new RangeError(`holds a key of ${key.length} bytes, which is too short: at least 16, better 32`);
  return key;
}
