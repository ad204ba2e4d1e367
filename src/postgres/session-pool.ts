import { setTimeout as sleep } from 'node:timers/promises';
import { openSession, type Session, type SessionSettings } from './session.js';

export interface SessionPool {
  /**
   * Lends one session to `work`. When `work` throws, or leaves the session lost, the session is ended and its locks with it;
   * otherwise it is reset beside the caller's way and lent again. What `work` hands to `later` runs between the two: for what
   * belongs on this session and nobody waits for.
   */
  withSession<T>(work: (session: Session, later: (task: () => Promise<void>) => void) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface SessionPoolOptions {
  /** Resolved at each connect, so that a rotated password is found. Never kept, never shown. */
  readonly url: () => Promise<string>;
  readonly settings: SessionSettings;
  /** Reset sessions that wait for their next step. One works while the other is being reset. */
  readonly warm?: number;
  readonly idleMs?: number;
}

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
    return openSession(await url(), settings);
  }

  /** The first that is reset. A reset on the next machine is worth waiting for; over a slow line another session is. */
  async function choose(): Promise<Warm | undefined> {
    if (!waiting.some((entry) => entry.settled) && waiting[0] !== undefined)
      await Promise.race([waiting[0].ready, sleep(2)]);
    const ready = waiting.findIndex((entry) => entry.settled);
    if (ready < 0 && waiting.length < warm) return undefined;
    return waiting.splice(Math.max(ready, 0), 1)[0];
  }

  function giveBack(session: Session, tasks: readonly (() => Promise<void>)[]): void {
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
        session.destroy(); // not close(): that would wait for the statement under way
        throw error;
      }
    },
    async close() {
      closed = true;
      for (const { session, timer, ready } of waiting.splice(0)) {
        if (timer !== null) clearTimeout(timer);
        await ready;
        end(session);
      }
      await Promise.all(closing);
    },
  };
}
