import type { HookAnswer } from '../contract/hooks.js';

/** What one call of a hook came to; call-hook.ts makes a failure of the last two. */
export type HookOutcome =
  | { readonly kind: 'answered'; readonly answer: HookAnswer }
  /** A later call may be answered otherwise. */
  | { readonly kind: 'unanswered'; readonly what: string; readonly said: string; readonly retryAfterMs?: number }
  /** It would be answered the same. */
  | { readonly kind: 'refused'; readonly what: string; readonly said: string };

/** Of what the other side has said, this much is for people. */
const MOST_SAID = 500;

/** The end of a text, on one line: an error stands last. */
export function endOf(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > MOST_SAID ? `…${line.slice(-MOST_SAID)}` : line;
}

/** The beginning of a text, on one line: an answer begins with its error. */
export function beginningOf(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > MOST_SAID ? `${line.slice(0, MOST_SAID)}…` : line;
}

/** What the other side said, behind the words about it. */
export function saying(said: string): string {
  return said === '' ? '' : `: ${said}`;
}
