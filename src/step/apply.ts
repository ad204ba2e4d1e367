import { FailureType, UnwindError } from '../contract/errors.js';
import { sendMessage, type Notice } from '../postgres/message.js';
import type { Session } from '../postgres/session.js';
import type { SessionPool } from '../postgres/session-pool.js';
import { limited, LONGEST_TIMER_MS } from '../postgres/within.js';
import { applyInPieces } from './apply-pieces.js';
import { carriedOut, refuseLostSession, type CarriedOut } from './carried-out.js';
import type { InstanceDatabase } from './database.js';
import { verdictOf, type BegunRow, type RecordedResult, type SqlFailure } from './failures.js';
import { clearTheWay } from './fence.js';
import type { AppliedStep, AttemptContext, StepOrder } from './order.js';
import { createLockWaits, type LockWaits } from './lock-waits.js';
import { atomicMessage, segmentedMessage } from './step-message.js';
import { watched } from './watch.js';

// What an attempt at a step promises. The numbers stand beside the lines that keep them, here and in functions.sql.
// 1. One writer. Both migration locks are taken by the very transaction that runs the script (atomic), or by its session and
//    each of its transactions (the others). Never waiting inside the server.
// 2. A repeat costs nothing. The journal is read under the lock, in a statement after the lock's, before any look at the schema.
// 3. A zombie commits nothing. The fence token is compared inside the transaction and its row kept `for share` to the commit.
// 4. Dirty in, nothing done: ledger, previous step, plan and the last check are guarded before the script is even analysed.
// 5. The change, the ledger's row and the journal's row are durable together or not at all; what refuses a transaction has
//    its intent recorded before and the catalogs probed after (apply-pieces.ts).

/** Rounds of clearing the way for one attempt: each ends at least one earlier session. */
const MAX_ROUNDS = 5;

/**
 * Carries out one step, or finds that it is done.
 * @throws {UnwindError} what `verdictOf` names; nothing that is not recorded is durable then.
 */
export async function applyStep(
  database: InstanceDatabase,
  order: StepOrder,
  context: AttemptContext,
): Promise<AppliedStep> {
  const { refused } = order.script.facts;
  if (refused !== null) {
    throw new UnwindError(FailureType.ScriptRefused, `${order.migration} ${order.direction}: ${refused}`);
  }
  const sessions = order.privileged && database.privileged !== null ? database.privileged : database.sessions;
  return sessions.withSession(async (session, later) => {
    context.working({ pid: session.pid });
    let begun: BegunRow | null = null;
    const waits = createLockWaits({
      policy: order.terminateBlockers ? 'terminate' : (context.blockers ?? database.blockers),
      session,
      step: order,
      ...(context.onEnded === undefined ? {} : { onEnded: context.onEnded }),
      ...(context.onWaited === undefined ? {} : { onWaited: context.onWaited }),
    });
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      context.signal.throwIfAborted();
      try {
        const done = await carryOut({ database, order, context, sessions, session, waits }, begun);
        if (done.notices.length > 0) later(() => recordNotices(session, order, done.notices));
        return withEnded(appliedOf(order, done, begun), waits);
      } catch (error) {
        const verdict = verdictOf(error, order, (begun?.unit ?? 0) + 1, waits);
        if (verdict.kind === 'failed') {
          // The driver hands an error over before the server has rolled back: without this a next attempt could still meet
          // our locks, and take this one for a rival. A session that the server has ended (57P01) has let go by itself.
          const answers = await letGo(session).then(
            () => true,
            () => false,
          );
          if (verdict.sql !== null) {
            // The record decides, not the error: the message goes on behind the commit with the next check.
            const recorded = answers ? await recordOf(session, order).catch(() => null) : null;
            if (recorded !== null) return foundDone(recorded);
            await recordFailure(database, order, verdict.sql);
          }
          throw verdict.error;
        }
        await letGo(session);
        if (verdict.kind === 'done') return foundDone(verdict.result); // 2
        if (verdict.kind === 'begun') begun = verdict.row;
        else {
          const { newestToken, finishing } = await standingOf(session, order);
          const fence = { ...context, sessions: database.sessions, database: database.name, waiting: context.progress };
          await clearTheWay(fence, order, verdict.holders, newestToken, finishing); // 1
        }
      }
    }
    throw new UnwindError(
      FailureType.InstanceBusy,
      `Sessions of earlier attempts keep coming back on "${database.name}". Nothing was changed by this one. Trying again.`,
      { retryAfterMs: 2_000 },
    );
  });
}

interface Attempt {
  readonly database: InstanceDatabase;
  readonly order: StepOrder;
  readonly context: AttemptContext;
  readonly sessions: SessionPool;
  readonly session: Session;
  readonly waits: LockWaits;
}

async function carryOut(
  { database, order, context, sessions, session, waits }: Attempt,
  begun: BegunRow | null,
): Promise<CarriedOut> {
  const lock = database.ledger.lockKey(database.ledgerOptions);
  const { progress, signal, limits = {} } = context;
  const send = (text: string) =>
    watched(
      {
        sessions,
        session,
        database: database.name,
        progress,
        signal,
        waits,
        limits,
        lockTimeoutMs: database.lockTimeoutMs,
      },
      () => sendMessage(session.client, text, LONGEST_TIMER_MS),
      Buffer.byteLength(text),
    );
  switch (order.execution) {
    case 'atomic':
    case 'empty':
      return carriedOut(await send(atomicMessage(order, lock, context.check)));
    case 'segmented': {
      if (begun === null)
        return carriedOut(await send(segmentedMessage(order, lock, { kind: 'begin', check: context.check })));
      refuseLostSession(order, begun);
      return carriedOut(
        await send(segmentedMessage(order, lock, { kind: 'resume', first: begun.unit + 1, earlier: begun })),
      );
    }
    case 'concurrent':
    case 'opaque':
      return applyInPieces({ database, order, context, session, lock, begun, send });
    default:
      return order.execution satisfies never;
  }
}

function appliedOf(order: StepOrder, done: CarriedOut, begun: BegunRow | null): AppliedStep {
  const how = done.result.how as 'ran' | 'resumed' | 'probed' | 'empty';
  const skipped = done.notices.filter((notice) => notice.sqlstate === '00000' && notice.message.endsWith(', skipping'));
  return {
    outcome: {
      how,
      unit: how === 'resumed' && begun !== null ? begun.unit + 1 : null,
      tookMs: done.result.tookMs,
      attempt: order.attempt,
      notices: done.notices.length,
      skippedNotices: order.direction === 'down' ? skipped.length : 0,
    },
    check: done.check,
  };
}

function withEnded({ outcome, check }: AppliedStep, { ended }: LockWaits): AppliedStep {
  return { outcome: ended.length === 0 ? outcome : { ...outcome, endedSessions: ended }, check };
}

function foundDone(result: RecordedResult): AppliedStep {
  return {
    outcome: {
      how: 'foundDone',
      unit: null,
      tookMs: result.tookMs,
      attempt: result.attempt,
      notices: 0,
      skippedNotices: 0,
    },
    check: null,
  };
}

/** The server has rolled back by then but for the files that the transaction made; a silent one is lost. */
const LET_GO_MS = 10_000;

/** A raised answer leaves an aborted transaction, and, of a step that is not atomic, a session's lock. */
async function letGo(session: Session): Promise<void> {
  await session.client.query(limited(LET_GO_MS, 'rollback'));
  await session.client.query(limited(LET_GO_MS, 'select pg_advisory_unlock_all()'));
}

const RECORD = `-- pg-unwind apply.record
select s.result from pgunwind.step s where s.run = $1 and s.seq = $2 and s.state = 'done'`;

async function recordOf(session: Session, order: StepOrder): Promise<RecordedResult | null> {
  const { rows } = await session.client.query<{ result: RecordedResult }>(RECORD, [order.run, order.seq]);
  return rows[0]?.result ?? null;
}

const STANDING = `-- pg-unwind apply.standing
select (select f.token::text from pgunwind.fence f) as "newestToken",
       (select jsonb_build_object('pid', s.pid, 'backendStart', s.backend_start)
          from pgunwind.step s
         where s.run = $1 and s.seq = $2 and s.state = 'started' and s.intent ->> 'kind' <> 'opaque') as finishing`;

async function standingOf(session: Session, order: StepOrder) {
  const { rows } = await session.client.query<{
    newestToken: string | null;
    finishing: { pid: number; backendStart: string } | null;
  }>(STANDING, [order.run, order.seq]);
  return rows[0] as (typeof rows)[number];
}

const RECORD_FAILURE = `-- pg-unwind apply.record-failure
insert into pgunwind.failure (run, seq, attempt, sqlstate, statement, message, detail)
values ($1, $2, $3, $4, $5, $6, $7)`;

/** For people; a failure to record a failure must not hide it. */
async function recordFailure(database: InstanceDatabase, order: StepOrder, failure: SqlFailure): Promise<void> {
  const values = [
    order.run,
    order.seq,
    order.attempt,
    failure.sqlstate,
    failure.statement,
    failure.message,
    failure.detail,
  ];
  await database.sessions.withSession(({ client }) => client.query(RECORD_FAILURE, values)).catch(() => undefined);
}

const RECORD_NOTICES = `-- pg-unwind apply.record-notices
insert into pgunwind.notice (run, seq, ordinal, severity, sqlstate, message)
select $1, $2, n.ordinal, n.severity, n.sqlstate, n.message
  from jsonb_to_recordset($3::jsonb) as n (ordinal integer, severity text, sqlstate text, message text)
on conflict do nothing`;

async function recordNotices(session: Session, order: StepOrder, notices: readonly Notice[]): Promise<void> {
  const rows = notices.map((notice, ordinal) => ({ ordinal, ...notice }));
  await session.client.query(RECORD_NOTICES, [order.run, order.seq, JSON.stringify(rows)]);
}
