import { UnwindError } from '../contract/errors.js';
import type { Session } from '../postgres/session.js';
import type { SessionPool } from '../postgres/session-pool.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import { within } from '../postgres/within.js';
import type { Blocked } from './blockers.js';
import type { LockWaits } from './lock-waits.js';
import { createLossJudge, lostSession, type Look, type LossLimits } from './lost-session.js';
import { openSecondSession, type SecondSession } from './second-session.js';

const PROGRESS = `-- pg-unwind watch.progress
select a.state, a.wait_event_type, a.wait_event,
       extract(epoch from clock_timestamp() - a.query_start)::integer as seconds,
       case when a.wait_event_type = 'Lock' then pgunwind.blockers(a.pid) end as blocked,
       (select format('building an index: %s, %s of %s blocks', i.phase, i.blocks_done, i.blocks_total)
          from pg_stat_progress_create_index i where i.pid = a.pid) as index_progress
  from pg_stat_activity a
 where a.pid = $1 and a.backend_start = $2`;

const CANCEL = `-- pg-unwind watch.cancel
select pg_cancel_backend(a.pid)
  from pg_stat_activity a
 where a.pid = $1 and a.backend_start = $2 and a.state = 'active'`;

export interface WatchLimits extends LossLimits {
  /** Between two looks; a statement shorter than this is not worth a second connection. Milliseconds. */
  readonly everyMs: number;
  /** One look, with the connection it may need. Milliseconds. */
  readonly lookMs: number;
}

export const WATCH: WatchLimits = { everyMs: 1_000, lookMs: 5_000, quietMs: 3_000, silenceMs: 30_000 };

/** Who blocks can be seen only while we wait, so a look must fall into the time that lock_timeout leaves. */
export function everyMsFor(lockTimeoutMs: number): number {
  return lockTimeoutMs === 0 ? WATCH.everyMs : Math.min(WATCH.everyMs, Math.max(100, lockTimeoutMs * 0.4));
}

/** A pooler in front may let a second connection wait until one of the first is given back: silence means less there. */
const POOLER_PATIENCE = 20;

/** A cancel finds a warm session that answers within this time, or takes a new connection. */
const WARM_CANCEL_MS = 600;

interface ProgressRow {
  state: string | null;
  wait_event_type: string | null;
  wait_event: string | null;
  seconds: number;
  blocked: Blocked | null;
  index_progress: string | null;
}

export interface Watched {
  /** Where the second session comes from: of the step's own role, which sees and may cancel it. */
  readonly sessions: SessionPool;
  readonly session: Session;
  readonly database: string;
  readonly progress: (what: string) => void;
  /** Aborted on cancellation: ends the statement on the server, and the transaction rolls back. */
  readonly signal: AbortSignal;
  /** Told who holds the lock that the session waits for. */
  readonly waits: LockWaits;
  readonly lockTimeoutMs: number;
  readonly limits?: Partial<WatchLimits>;
}

/**
 * Runs `work`, one message, on the session. It may take as long as it takes; a second connection reports what the server does
 * and waits for, carries a cancellation to it, and finds out when no answer will ever come.
 * @throws {UnwindError} DatabaseUnreachable: the session is lost, and cut off; else what `work` throws.
 */
export async function watched<T>(on: Watched, work: () => Promise<T>, messageBytes = 0): Promise<T> {
  const { session, signal } = on;
  const limits: WatchLimits = { ...WATCH, everyMs: everyMsFor(on.lockTimeoutMs), ...on.limits };
  const silenceMs = limits.silenceMs * (session.pooled ? POOLER_PATIENCE : 1);
  const judge = createLossJudge({ ...limits, silenceMs }, messageBytes);
  const second = openSecondSession(on.sessions, limits.lookMs);
  let timer: NodeJS.Timeout | null = null;
  let over = false;
  let lost: string | null = null;
  let ending: Promise<void> | null = null;
  const lookAgain = () => {
    if (!over) timer = setTimeout(() => void round(), limits.everyMs);
  };
  // Awaited by nobody: the step ends when its own session says so, or is cut off here.
  const round = async () => {
    const { look, row } = await lookAt(second, session);
    if (over) return;
    lost = judge.judge(look, session.bytesRead());
    if (lost !== null) {
      session.destroy();
      return;
    }
    if (row !== null) {
      ending = on.waits.see(row.blocked, second);
      await ending;
      ending = null;
      if (!over) on.progress(describe(row, on.waits.told()));
    }
    if (look.kind === 'silent') on.progress(`the server has not answered for ${judge.silentSeconds()} s`);
    if (signal.aborted && look.kind === 'working') void cancel(on, limits, () => over); // it may have come before the message
    lookAgain();
  };
  const onAbort = () => void cancel(on, limits, () => over);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  lookAgain();
  try {
    return await work();
  } catch (error) {
    throw lost === null ? error : lostSession(on.database, lost, error);
  } finally {
    over = true;
    if (timer !== null) clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    second.close();
    // Who is ended lets our statement go on before the second session knows that it was done: the step's result shall name it.
    if (ending !== null) await within(limits.lookMs, ending, () => undefined).catch(() => undefined);
  }
}

/** Never throws: that there is no answer is what it brings then. */
async function lookAt(second: SecondSession, session: Session): Promise<{ look: Look; row: ProgressRow | null }> {
  try {
    const [row] = await second.ask<ProgressRow>(PROGRESS, [session.pid, session.backendStart]);
    if (row === undefined) return { look: { kind: 'gone' }, row: null };
    const idle = row.state?.startsWith('idle') === true;
    return { look: { kind: idle ? 'idle' : 'working' }, row: idle ? null : row };
  } catch (error) {
    return { look: { kind: isAnswered(error) ? 'refused' : 'silent' }, row: null };
  }
}

/** A SQLSTATE, of the query or of the login, comes from the server; so does not what else can go wrong on the way. */
function isAnswered(error: unknown): boolean {
  if (error instanceof UnwindError) return error.type !== 'DatabaseUnreachable' || error.details.sqlstate !== null;
  return sqlstateOf(error) !== null;
}

async function cancel({ sessions, session }: Watched, { lookMs }: WatchLimits, over: () => boolean): Promise<void> {
  for (const fresh of [false, true, true]) {
    const second = openSecondSession(sessions, fresh ? lookMs : WARM_CANCEL_MS, fresh);
    try {
      if (!over()) await second.ask(CANCEL, [session.pid, session.backendStart]);
      return;
    } catch {
      // the next one is a new connection
    } finally {
      second.close();
    }
  }
}

function describe(row: ProgressRow, waits: string | null): string {
  const parts = [row.index_progress ?? `running for ${row.seconds} s`];
  if (waits !== null) parts.push(`waits for ${waits}`);
  else if (row.wait_event !== null) parts.push(`waits for ${row.wait_event_type}/${row.wait_event}`);
  return parts.join('; ');
}
