import type { HookOutcome } from './hook-outcome.js';
import { signedHeaders } from './hook-signature.js';

export interface WebhookCall {
  readonly url: string;
  /** Null: the call is not signed. */
  readonly secret: string | null;
  readonly idempotencyKey: string;
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Beyond these an answer is not read: it says in its status what matters. */
const MOST_BYTES = 16 * 1024;
/** A receiver that asks for more is asked again all the same: an operator waits. */
const MOST_RETRY_AFTER_MS = 300_000;
/** Besides 5xx: the receiver says itself that a repeat helps. */
const TRY_AGAIN: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * One POST; redirects are not followed, because what is signed is for one receiver.
 * @throws the signal's reason, when it comes.
 */
export async function callWebhook(call: WebhookCall): Promise<HookOutcome> {
  const seconds = Math.floor(Date.now() / 1_000);
  const { idempotencyKey: id, body, secret } = call;
  const late = AbortSignal.timeout(call.timeoutMs);
  try {
    const response = await fetch(call.url, {
      method: 'POST',
      body,
      redirect: 'manual',
      signal: AbortSignal.any([call.signal, late]),
      headers: {
        'content-type': 'application/json',
        'user-agent': 'pg-unwind',
        'idempotency-key': id,
        ...(secret === null ? { 'webhook-id': id } : signedHeaders(id, body, secret, seconds)),
      },
    });
    if (!response.ok) return refusalOf(response, await bodyOf(response));
    await bodyOf(response).catch(() => undefined); // one that talks on, or breaks off, has answered all the same
    call.signal.throwIfAborted();
    return { kind: 'answered', answer: response.status === 202 ? 'later' : 'done' };
  } catch (error) {
    call.signal.throwIfAborted();
    if (error instanceof RangeError) throw error; // the secret's form
    const what = late.aborted
      ? `gave no answer within ${call.timeoutMs / 1_000} s`
      : `cannot be reached (${codeOf(error)})`;
    return { kind: 'unanswered', what, said: '' };
  }
}

function refusalOf(response: Response, text: string): HookOutcome {
  const { status, statusText } = response;
  const what = `answered ${status}${statusText === '' ? '' : ` ${statusText}`}`;
  const said = text;
  if (status >= 300 && status < 400) return { kind: 'refused', what: `${what}: redirects are not followed`, said };
  if (status < 500 && !TRY_AGAIN.has(status)) return { kind: 'refused', what, said };
  const retryAfterMs = retryAfterOf(response.headers.get('retry-after'));
  return { kind: 'unanswered', what, said, ...(retryAfterMs === null ? {} : { retryAfterMs }) };
}

/** Why no call can go there, in words that do not repeat it; null: one can. */
export function urlFault(text: string): string | null {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) return 'is not an http or https URL';
  const { username, password } = new URL(text);
  return username === '' && password === '' ? null : 'holds a user or password, which is not sent';
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterOf(value: string | null): number | null {
  if (value === null) return null;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 1_000), MOST_RETRY_AFTER_MS) : null;
}

async function bodyOf(response: Response): Promise<string> {
  if (response.body === null) return '';
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  for (let bytes = 0; bytes < MOST_BYTES;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    bytes += value.byteLength;
  }
  await reader.cancel().catch(() => undefined); // the connection is given back, or closed
  return Buffer.concat(parts).subarray(0, MOST_BYTES).toString('utf8');
}

/** `ECONNREFUSED`: the error's own text repeats the URL, which may hold a token. */
function codeOf(error: unknown): string {
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 4;
    current = current.cause, depth++
  ) {
    if ('code' in current && typeof current.code === 'string') return current.code;
  }
  return 'no connection';
}
