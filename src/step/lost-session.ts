import { FailureType, UnwindError } from '../contract/errors.js';

/** What a look at a session through a second one brought. */
export type Look =
  | { readonly kind: 'working' }
  /** The backend is there and does nothing: it has finished, or what we sent has not come to it. */
  | { readonly kind: 'idle' }
  /** There is no such backend any more. */
  | { readonly kind: 'gone' }
  /** The server said no to the second session (too many connections, say): it answers. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'silent' };

export interface LossLimits {
  /** A backend that has finished, or is gone, while its answer does not come. Milliseconds. */
  readonly quietMs: number;
  /** No look has had an answer, and nothing came on the session itself. Milliseconds. */
  readonly silenceMs: number;
}

/** A slow line may still carry the message while its backend sits idle: 64 kB in a second, as slow as a line of an office. */
const BYTES_PER_MS = 64;

/** After a frozen process thaws, much time has passed in which nobody looked. */
const SILENT_LOOKS = 3;

/**
 * Decides when a session that does not answer is lost. The path between may have swallowed our packets or the server's: then the
 * socket says nothing for a quarter of an hour, and the step would never end.
 * @param messageBytes of what was sent. @returns why it is lost, or null.
 */
export function createLossJudge(
  { quietMs, silenceMs }: LossLimits,
  messageBytes: number,
  now: () => number = () => performance.now(),
): { judge(look: Look, bytesRead: number): string | null; silentSeconds(): number } {
  let heardAt = now();
  let heard = 0;
  let silentLooks = 0;
  let quietSince: number | null = null;
  return {
    judge(look, bytesRead) {
      const at = now();
      if (bytesRead !== heard) {
        heard = bytesRead;
        heardAt = at;
        quietSince = null;
      }
      if (look.kind === 'silent') {
        silentLooks += 1;
        if (silentLooks < SILENT_LOOKS || at - heardAt < silenceMs) return null;
        return `neither its server session nor a second one has had an answer for ${Math.round((at - heardAt) / 1_000)} s`;
      }
      heardAt = at;
      silentLooks = 0;
      if (look.kind === 'refused') return null; // nothing is known about the session itself
      if (look.kind === 'working') {
        quietSince = null;
        return null;
      }
      quietSince ??= at;
      if (at - quietSince < quietMs + messageBytes / BYTES_PER_MS) return null;
      return look.kind === 'gone'
        ? 'its server session is gone, and nobody told us'
        : 'its server session does nothing any more, and no answer has come';
    },
    silentSeconds: () => (silentLooks === 0 ? 0 : Math.round((now() - heardAt) / 1_000)),
  };
}

export function lostSession(database: string, why: string, cause: unknown): UnwindError {
  return new UnwindError(
    FailureType.DatabaseUnreachable,
    `The session on "${database}" was given up: ${why}. Whether it committed is in the journal: the next attempt looks there first ` +
      'and repeats nothing that is done.',
    { cause },
  );
}
