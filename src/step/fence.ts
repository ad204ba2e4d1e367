import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { LockHolder } from '../journal/answers.js';
import type { SessionPool } from '../postgres/session-pool.js';
import { classify, sqlstateOf } from '../postgres/sqlstate.js';
import { describeHolder } from './reasons.js';

const PREFIX = 'pgu';

/** `pgu:<token>:<attempt>:<seq>`: Postgres cuts names at 63 bytes, so what tells attempts apart comes first. */
export function applicationName(token: string, attempt: number, seq: number): string {
  return `${PREFIX}:${token}:${attempt}:${seq}`;
}

interface Attempt {
  readonly token: string;
  readonly attempt: number;
}

/** The inverse of `applicationName`; null for anybody else's session. */
export function attemptOf(application: string | null): Attempt | null {
  const [prefix, token, attempt] = (application ?? '').split(':');
  if (prefix !== PREFIX || token === undefined || attempt === undefined) return null;
  return { token, attempt: Number(attempt) };
}

export interface FenceDeps {
  readonly sessions: SessionPool;
  readonly database: string;
  /** Told while we wait: heartbeats. */
  readonly waiting: (what: string) => void;
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * The lock is busy: decide by the holders who may go on.
 * - an earlier attempt of ours (another token although ours is the newest, or the same with a lower number): its session is
 *   ended, and this returns when that very backend is gone;
 * - the same token and no lower attempt: this attempt is the stale one;
 * - anyone else: wait.
 * Nothing is ended that is not provably ours: the token in its name was issued by this database's fence.
 * @throws {UnwindError} StaleAttempt, InstanceBusy (retryable).
 */
export async function clearTheWay(
  { sessions, database, waiting, pause }: FenceDeps,
  mine: Attempt,
  holders: readonly LockHolder[],
  newestToken: string | null,
  /** Backend of a CONCURRENTLY statement of this very step: it may finish. */
  finishing: { pid: number; backendStart: string } | null,
): Promise<void> {
  for (const holder of holders) {
    const theirs = attemptOf(holder.application);
    if (theirs === null || !holder.issued) throw busy(database, holders);
    if (newestToken !== mine.token) throw stale(database);
    if (theirs.token === mine.token && theirs.attempt >= mine.attempt) throw stale(database);
    if (
      finishing !== null &&
      holder.pid === finishing.pid &&
      holder.backendStart === finishing.backendStart &&
      holder.state === 'active'
    ) {
      waiting(`the index statement of an earlier attempt still runs in process ${holder.pid}`);
      throw unfinished(database, holder);
    }
    waiting(`ending the session of an earlier attempt, process ${holder.pid}`);
    await sessions.withSession(({ client }) => endBackend(client, holder, pause));
  }
  if (holders.length === 0) await pause(50); // gone between the try and the look
}

export function stale(database: string): UnwindError {
  return new UnwindError(
    FailureType.StaleAttempt,
    `A newer claim on "${database}" exists; this attempt did nothing. The run that holds the claim goes on.`,
  );
}

/** Steps that the run has seen done are not in the journal: a failover lost commits. */
export function behind(database: string, release: string): UnwindError {
  return new UnwindError(
    FailureType.JournalBehind,
    `The journal of "${database}" lacks steps on the way to ${release} that this run had seen done: a failover lost commits. Nothing was ` +
      'changed. Journal, ledger and schema are behind together: send the update "abort" and start again if the run does not go back by itself.',
  );
}

/** The holders that take_locks raises with. */
export function holdersIn(error: unknown): readonly LockHolder[] {
  return error instanceof pg.DatabaseError && error.detail !== undefined
    ? (JSON.parse(error.detail) as LockHolder[])
    : [];
}

export function busy(database: string, holders: readonly LockHolder[]): UnwindError {
  // A session that holds both locks is listed twice.
  const who = [...new Set(holders.map(describeHolder))].join('; ') || 'a session that is gone by now';
  return new UnwindError(
    FailureType.InstanceBusy,
    `The migration lock of "${database}" is held by ${who}. Nothing was changed. Trying again; stop that session if it should not be there.`,
    {
      retryAfterMs: 1_000,
      details: { holders: holders.map(({ pid, application, user }) => ({ pid, application, user })) },
    },
  );
}

/** Ours, and let finish: the advice about a stranger would be wrong here. */
function unfinished(database: string, { pid, application, user }: LockHolder): UnwindError {
  return new UnwindError(
    FailureType.InstanceBusy,
    `The index statement of an earlier attempt still runs on "${database}", in process ${pid}. It may finish: to end it would leave an ` +
      'INVALID index. Nothing was changed. Trying again; what it waits for are transactions older than itself.',
    { retryAfterMs: 1_000, details: { holders: [{ pid, application, user }] } },
  );
}

/**
 * Pid and start time together name one session, for a pid comes back. When it began our role may not see of another role's
 * session: then the name, which carries the token and the attempt, tells.
 */
const IS_IT = `a.pid = $1
   and case when $2::timestamptz is null then a.application_name = $3 and a.backend_start is null else a.backend_start = $2 end`;

const CANCEL = `-- pg-unwind fence.cancel
select pg_cancel_backend(a.pid)
  from pg_stat_activity a
 where ${IS_IT}`;

const TERMINATE = CANCEL.replace('fence.cancel', 'fence.terminate').replace(
  'pg_cancel_backend',
  'pg_terminate_backend',
);

const IS_THERE = `-- pg-unwind fence.is-there
select exists (
  select from pg_stat_activity a
 where ${IS_IT}) as there`;

/** Cancels, then terminates (an idle transaction ignores a cancel), then waits until that very backend is gone. */
export async function endBackend(
  client: pg.ClientBase,
  { pid, backendStart, application }: Pick<LockHolder, 'pid' | 'backendStart' | 'application'>,
  pause: (ms: number) => Promise<void>,
): Promise<void> {
  const values = [pid, backendStart, application];
  const there = async () => (await client.query<{ there: boolean }>(IS_THERE, values)).rows[0]?.there === true;
  try {
    await client.query(CANCEL, values);
    if (!(await there())) return;
    await pause(200);
    await client.query(TERMINATE, values);
  } catch (error) {
    if (sqlstateOf(error) === null || classify(sqlstateOf(error) as string) !== 'permission') throw error;
    throw new UnwindError(
      FailureType.InstanceBusy,
      `Process ${pid} is an earlier attempt of ours under another role, which this one may not end (SQLSTATE ${sqlstateOf(error)}). ` +
        'Nothing was changed. End it on the server (pg_terminate_backend), or grant pg_signal_backend; trying again.',
      { retryAfterMs: 5_000, details: { pid } },
    );
  }
  for (let waited = 0; await there(); waited += 50) {
    if (waited > 30_000) {
      throw new UnwindError(
        FailureType.InstanceBusy,
        `Process ${pid} was told to end 30 s ago and is still there. Nothing was changed. Look at it on the server; trying again.`,
        { retryAfterMs: 5_000 },
      );
    }
    await pause(50);
  }
}
