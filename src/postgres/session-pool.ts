import { setTimeout as sleep } from 'node:timers/promises';
import { openSession, type Session, type SessionSettings } from './session.js';
import { within } from './within.js';

export interface SessionPool {
  /**
   * Lends one session to `work`. When `work` throws, or leaves the session lost, the session is ended and its locks with it;
   * otherwise it is reset beside the caller's way and lent again. What `work` hands to `later` runs between the two: for what
   * belongs on this session and nobody waits for.
   */
  withSession<T>(work: (session: Session, later: (task: () => Promise<void>) => void) => Promise<T>): Promise<T>;
  /** Lends one session for a time that no function encloses. `fresh`: a new connection, whatever waits. */
  lend(options: { readonly fresh: boolean; readonly withinMs: number }): Promise<Loan>;
  close(): Promise<void>;
}

/** A session that is lent; one of the two ends the loan. */
export interface Loan {
  readonly session: Session;
  giveBack(): void;
  /** Cuts it off: for one that does not answer. */
  destroy(): void;
}

export interface SessionPoolOptions {
  /** Resolved at each connect, so that a rotated password is found. Never kept, never shown. */
  readonly url: () => Promise<string>;
  readonly settings: SessionSettings;
  /** Reset sessions that wait for their next step. One works while the other is being reset. */
  readonly warm?: number;
  readonly idleMs?: number;
}

/** A reset takes a round trip. When all warm sessions are in one for longer than this, the line or the server is not well. */
const RESET_MS = 500;

/** What a session was given for its way back (notices to record) may end before it is closed. */
const CLOSING_MS = 5_000;

interface Warm {
  readonly session: Session;
  /** Settles when the session is reset; false: it could not be. */
  readonly ready: Promise<boolean>;
  settled: boolean;
  timer: NodeJS.Timeout | null;
}

export function createSessionPool({ url, settings, warm = 2, idleMs = 60_000 }: SessionPoolOptions): SessionPool {
  const waiting: Warm[] = [];
  const closing = new Set<Promise<void>>();
  let closed = false;

  async function take(): Promise<Session> {
    for (let next = await choose(); next !== undefined; next = await choose()) {
      if (next.timer !== null) clearTimeout(next.timer);
      if ((await next.ready) && !next.session.isLost()) return next.session;
      end(next.session);
    }
    return open();
  }

  async function open(): Promise<Session> {
    return openSession(await url(), settings);
  }

  /** The first that is reset. A reset on the next machine is worth waiting for; over a slow line another session is. */
  async function choose(): Promise<Warm | undefined> {
    if (waiting.length > 0 && !waiting.some((entry) => entry.settled)) {
      const patience = sleep(waiting.length < warm ? 2 : RESET_MS, undefined, { ref: false });
      await Promise.race([patience, ...waiting.map((entry) => entry.ready)]);
    }
    const ready = waiting.findIndex((entry) => entry.settled);
    return ready < 0 ? undefined : waiting.splice(ready, 1)[0];
  }

  function giveBack(session: Session, tasks: readonly (() => Promise<void>)[]): void {
    if (session.isBusy()) {
      session.destroy();
      return;
    }
    if (closed || session.isLost() || (waiting.length >= warm && tasks.length === 0)) {
      end(session);
      return;
    }
    const entry: Warm = {
      session,
      ready: finish(session, tasks).then(
        () => true,
        () => false,
      ),
      settled: false,
      timer: null,
    };
    void entry.ready.then(() => (entry.settled = true));
    entry.timer = setTimeout(() => {
      const at = waiting.indexOf(entry);
      if (at >= 0) waiting.splice(at, 1);
      end(session);
    }, idleMs);
    entry.timer.unref();
    waiting.push(entry);
  }

  async function finish(session: Session, tasks: readonly (() => Promise<void>)[]): Promise<void> {
    for (const task of tasks) await task();
    await session.reset();
  }

  /** One session has fallen silent: what waits beside it went the same way, and its next user would find out only after a while. */
  function distrust(): void {
    for (const entry of waiting.filter(({ settled }) => settled)) {
      waiting.splice(waiting.indexOf(entry), 1);
      if (entry.timer !== null) clearTimeout(entry.timer);
      entry.session.destroy();
    }
  }

  function cutOff(session: Session): void {
    if (session.isBusy()) distrust();
    session.destroy(); // not close(): that would wait for the statement under way
  }

  function end(session: Session): void {
    const ended = session.close();
    closing.add(ended);
    void ended.finally(() => closing.delete(ended));
  }

  return {
    async withSession(work) {
      const session = await take();
      try {
        const tasks: (() => Promise<void>)[] = [];
        const result = await work(session, (task) => tasks.push(task));
        giveBack(session, tasks);
        return result;
      } catch (error) {
        await session.rolledBack();
        cutOff(session);
        throw error;
      }
    },
    async lend({ fresh, withinMs }) {
      const session = await within(withinMs, fresh ? open() : take(), end);
      return { session, giveBack: () => giveBack(session, []), destroy: () => cutOff(session) };
    },
    async close() {
      closed = true;
      for (const { session, timer, ready } of waiting.splice(0)) {
        if (timer !== null) clearTimeout(timer);
        await within(CLOSING_MS, ready, () => undefined).catch(() => undefined);
        end(session);
      }
      await Promise.all(closing);
    },
  };
}
