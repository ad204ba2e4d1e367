// The signatures of Standard Webhooks: HMAC-SHA256 over "id.timestamp.body" with a secret that is written "whsec_<base64>".

import { createHmac, timingSafeEqual } from 'node:crypto';

/** Older or newer than this, and it may be a request that somebody has recorded. */
const TOLERANCE_SECONDS = 5 * 60;

export function signedHeaders(secret, id, body, now = Date.now()) {
  const timestamp = String(Math.floor(now / 1000));
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signatureOf(secret, id, timestamp, body).toString('base64')}`,
  };
}

/** @returns null, or why the request is not to be believed. */
export function refusalOf(secret, headers, body, now = Date.now()) {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (id === undefined || timestamp === undefined || signatures === undefined) return 'it is not signed';
  if (!/^\d+$/.test(timestamp) || Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) {
    return `its time stamp is more than ${TOLERANCE_SECONDS / 60} minutes away from now`;
  }
  const expected = signatureOf(secret, id, timestamp, body);
  // While a secret is changed, a sender may sign with both.
  const isSigned = signatures.split(' ').some((signature) => {
    const [version, value = ''] = signature.split(',');
    const given = Buffer.from(value, 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
  return isSigned ? null : 'its signature is wrong';
}

function signatureOf(secret, id, timestamp, body) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest();
}
