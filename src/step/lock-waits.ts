import type { BlockerPolicy, EndedSession } from '../contract/blockers.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Session } from '../postgres/session.js';
import { LOCK_NOT_AVAILABLE, PERMISSION, sqlstateOf } from '../postgres/sqlstate.js';
import {
  describeBlocker,
  describeLock,
  END_BLOCKER,
  leftAlone,
  mayNotEnd,
  type Blocked,
  type Blocker,
} from './blockers.js';
import type { InstanceDatabase } from './database.js';
import type { SecondSession } from './second-session.js';
import { watched } from './watch.js';

/** Who stands in the way of one attempt: seen by the looks at its session, and ended where the policy says so. */
export interface LockWaits {
  /** One look: null when the session waits for no lock. Ends what the policy lets it end. */
  see(blocked: Blocked | null, second: SecondSession): Promise<void>;
  /** The wait that the last look found, in words; null: none. */
  told(): string | null;
  /** The sessions of that wait, as history may hold them. */
  sessions(): readonly EndedSession[];
  /** Every session that this attempt has ended. */
  readonly ended: readonly EndedSession[];
}

export interface LockWaitOptions {
  readonly policy: BlockerPolicy;
  readonly session: Session;
  /** What the record of an ended session says; null: nothing is ever ended. */
  readonly step: { readonly run: string; readonly seq: number; readonly attempt: number } | null;
  readonly onEnded?: (who: EndedSession, words: string) => void;
  /** The time since the look before, at each look that finds the session waiting: on the average, for how long it does. */
  readonly onWaited?: (ms: number) => void;
}

export function createLockWaits({ policy, session, step, onEnded, onWaited }: LockWaitOptions): LockWaits {
  let last: Blocked | null = null;
  let looked = performance.now();
  const refused = new Map<number, string>();
  const ended: EndedSession[] = [];

  /** @returns true: it is told to end. */
  async function end(blocker: Blocker, second: SecondSession): Promise<void> {
    if (step === null || leftAlone(blocker, policy) !== null) return;
    try {
      const rows = await second.ask(END_BLOCKER, [
        blocker.pid,
        blocker.backendStart,
        session.pid,
        session.backendStart,
        policy,
        step.run,
        step.seq,
        step.attempt,
      ]);
      if (rows.length === 0) return; // it is gone, or not in the way any more, or at work again
      const who = historyOf(blocker);
      ended.push(who);
      onEnded?.(who, describeBlocker(blocker));
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (sqlstate !== null && PERMISSION.has(sqlstate)) refused.set(blocker.pid, mayNotEnd(blocker));
    }
  }

  const words = (blocker: Blocker) => {
    const why = refused.get(blocker.pid) ?? leftAlone(blocker, policy);
    return `${describeBlocker(blocker)}${why === null || why === '' ? '' : `: ${why}`}`;
  };

  return {
    ended,
    async see(blocked, second) {
      last = blocked;
      const now = performance.now();
      if (blocked !== null) onWaited?.(now - looked);
      looked = now;
      if (blocked === null || policy === 'wait') return;
      for (const blocker of blocked.sessions) await end(blocker, second);
    },
    told() {
      if (last === null) return null;
      const prepared = last.prepared.map(
        (gid) => `the prepared transaction "${gid}" (commit prepared or rollback prepared ends it)`,
      );
      const who = [...last.sessions.map(words), ...prepared];
      return `${describeLock(last)}, held up by ${who.length === 0 ? 'a session that is gone by now' : who.join('; ')}`;
    },
    sessions: () => last?.sessions.map(historyOf) ?? [],
  };
}

function historyOf({ pid, application, user }: Blocker): EndedSession {
  return { pid, application, user };
}

/** What a further attempt waits before it tries a lock again: 2 s, 4 s, 8 s … at most 30. It takes the retry policy's place. */
export function pauseAfter(attempt: number): number {
  return Math.min(30_000, 2_000 * 2 ** Math.min(attempt - 1, 10));
}

/**
 * A query of ours beside the steps, which may have to wait for a row or table of the journal or ledger that somebody has locked.
 * @throws {UnwindError} InstanceBusy that names who; else what `work` throws.
 */
export async function namingBlockers<T>(
  database: InstanceDatabase,
  session: Session,
  { doing, tell }: { doing: string; tell: (what: string) => void },
  work: () => Promise<T>,
): Promise<T> {
  const waits = createLockWaits({ policy: 'wait', session, step: null });
  const signal = new AbortController().signal; // it is over within the limits of a query
  const { sessions, name, lockTimeoutMs } = database;
  try {
    return await watched({ sessions, session, database: name, progress: tell, signal, waits, lockTimeoutMs }, work);
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    // Without a lock_timeout (0) the limit of a query of ours ends the wait, and a wait it was.
    if (sqlstate === null ? waits.told() === null : !LOCK_NOT_AVAILABLE.has(sqlstate)) throw error;
    throw new UnwindError(
      FailureType.InstanceBusy,
      `${doing} on "${name}" had to wait for ${waits.told() ?? 'a lock; who held it was gone before anyone could look'}. ` +
        'Nothing was changed. Trying again; end that session if it should not be there.',
      { details: { sqlstate, blockers: waits.sessions() } },
    );
  }
}
