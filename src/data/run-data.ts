import pg from 'pg';
import type { DataOutcome } from '../contract/data-activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { MessageError } from '../postgres/message.js';
import { classify, kindOf, sqlstateOf, TRANSIENT } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from '../step/database.js';
import { askProgress, askVerify, endOf, runBatch, takesCursor, watching, type Batch, type BatchSite } from './batch.js';
import { answerOf, beginData, letGo, type Begun } from './begin.js';
import { createMeter, nextSize, type Meter } from './meter.js';
import { endData } from './end.js';
import { createThrottle } from './throttle.js';
import { DATA_LIMITS, type DataContext, type DataLimits, type DataMetrics, type DataOrder } from './order.js';

// What an attempt at a data migration promises. As for a step (step/apply.ts): one writer, a repeat costs nothing, a zombie commits
// nothing, never on dirt. And:
// - Each batch takes effect once: where the next one begins is written in the batch's own transaction, and read under its lock.
// - The data wins: whether the end is reached is asked of the data, never of a count.
// - It ends: a batch that fails for good, and data that does not move, park.

/** A batch that skips a stretch in which there is nothing to do counts less towards "it does not move". */
const SKIPPING = 0.02;

/**
 * Carries a data migration to its end, or finds that it is there.
 * @throws {UnwindError} DataFailed, DataStalled (both park); StepInterrupted, DatabaseUnreachable, InstanceBusy (retryable);
 *   DirtyDatabase, StaleAttempt, JournalBehind, JournalIncomplete. What the batches before have done is durable.
 */
export async function runData(
  database: InstanceDatabase,
  order: DataOrder,
  context: DataContext,
): Promise<DataOutcome> {
  const limits: DataLimits = { ...DATA_LIMITS, ...context.limits };
  return database.sessions.withSession(async (session) => {
    let size = limits.firstRows;
    let meter = createMeter({ batches: 0, rows: 0 }, endOf(order));
    const doing = (what: string) => context.tell(meter.beat(what, size));
    const beginning = await beginData(database, order, session, context, doing);
    if (beginning.kind === 'done') return { ...beginning.result, how: 'foundDone' };
    meter = createMeter(beginning.row, endOf(order));
    const cursor = await takesCursor(order.queries.batch);
    const site: BatchSite = { database, order, session, signal: context.signal, doing, takesCursor: cursor };
    const setSize = (next: number) => (size = next);
    try {
      const progress = await carryOut(site, context, limits, meter, setSize);
      const outcome = await watching(site, () => endData(session, order, progress));
      await letGo(session);
      return { ...outcome, how: howOf(beginning.row) };
    } catch (error) {
      throw asDataFailure(error, order);
    }
  });
}

const howOf = ({ batches }: Begun): 'ran' | 'resumed' => (batches === 0 ? 'ran' : 'resumed');

/** Batch after batch until the data says that it is at the end. @returns the progress there. */
async function carryOut(
  site: BatchSite,
  context: DataContext,
  limits: DataLimits,
  meter: Meter,
  setSize: (size: number) => void,
): Promise<number> {
  const { order } = site;
  const target = endOf(order);
  const throttle = createThrottle(site, context, limits);
  const asker = createAsker(site, meter, limits.progressShare, context.metrics);
  let progress = await asker.ask();
  let size = limits.firstRows;
  let unmoved = 0;
  let hasMoved = false;
  let passRows = 0;
  // An attempt that goes on at a cursor has not seen what lies behind it: that pass proves nothing by finding nothing.
  let isWhole = false;
  let emptyPasses = 0;
  while (progress !== target) {
    context.signal.throwIfAborted();
    await throttle.pass();
    const batch = await tryBatch(site, context, limits, size);
    meter.batch(batch.rows);
    context.metrics?.batch(batch.rows, batch.tookMs);
    passRows += batch.rows;
    isWhole ||= batch.from === null;
    size = await throttle.yieldLocks(batch, batch.size, nextSize(batch.size, batch.tookMs, limits));
    setSize(size);
    site.doing('moving rows');
    unmoved += batch.rows > 0 ? 1 : SKIPPING;
    const passEnded = batch.rows === 0 && batch.cursor === null;
    // Whether they move anything at all is worth a question before its time, once: asked each time it could cost more than they do.
    const isSuspicious = unmoved >= limits.stallBatches && !hasMoved;
    if (!passEnded && !isSuspicious && !asker.isDue()) continue;
    const before = progress;
    progress = await asker.ask();
    if (progress !== before) {
      unmoved = 0;
      hasMoved = true;
    }
    if (progress === target) break;
    if (unmoved >= limits.stallBatches) throw stalled(order, progress, `${Math.round(unmoved)} batches moved nothing`);
    if (passEnded && isWhole && passRows === 0) {
      // A query that skips what others have locked finds it a moment later: as patient as with a lock that is waited for.
      emptyPasses += 1;
      if (emptyPasses >= limits.triesPerBatch) throw stalled(order, progress, 'a whole pass found nothing to do');
      site.doing('a whole pass found nothing to do; looking again');
      await context.pause(250 * 2 ** (emptyPasses - 1));
    } else if (batch.rows > 0) emptyPasses = 0;
    if (passEnded) {
      passRows = 0;
      isWhole = false;
    }
  }
  if (!(await looking(site, 'verify', askVerify))) {
    throw new UnwindError(
      FailureType.DataFailed,
      `The data migration ${order.id} on "${order.database}" is at ${progress}, and its own verify query for this end says no. All batches are ` +
        'durable. Look at the rows that it complains of; when they are right, send the update "retryStep".',
    );
  }
  return progress;
}

interface Asker {
  ask(): Promise<number>;
  /** Asking now would keep to the share of the time that it may cost. */
  isDue(): boolean;
}

function createAsker(site: BatchSite, meter: Meter, share: number, metrics?: DataMetrics): Asker {
  let dueAt = 0;
  return {
    async ask() {
      const began = performance.now();
      const progress = await looking(site, 'progress', askProgress);
      const now = performance.now();
      dueAt = now + Math.max(500, (now - began) / share);
      meter.measured(progress);
      metrics?.progress(progress);
      await notePlace(site, progress);
      return progress;
    },
    isDue: () => performance.now() >= dueAt,
  };
}

/** A look at the data that fails for good is written down as a batch is, with the size 0; the words are about that query. */
async function looking<T>(site: BatchSite, query: string, look: (site: BatchSite) => Promise<T>): Promise<T> {
  try {
    return await look(site);
  } catch (error) {
    const { order, signal } = site;
    const sqlstate = sqlstateOf(error);
    const kind = kindOf(error);
    if (sqlstate === null || signal.aborted || TRANSIENT.has(kind) || kind === 'canceled') throw error;
    await recordFailure(site, 0, error);
    throw new UnwindError(
      FailureType.DataFailed,
      `The query "${query}" of the data migration ${order.id} on "${order.database}" failed (SQLSTATE ${sqlstate}). All batches so far are ` +
        `durable. The server's own words are in pgunwind.data_failure of that database (run ${order.run}). Remove the cause, then send the ` +
        'update "retryStep"; if it is the query itself, correct it in data-migrations.yaml, build the catalog again, abort this run and ' +
        'start again.',
      { details: { query, sqlstate, kind } },
    );
  }
}

const NOTE = `-- pg-unwind data.note-progress
select pgunwind.note_progress($1, $2, $3, $4)`;

async function notePlace({ session, order }: BatchSite, progress: number): Promise<void> {
  await session.client.query(NOTE, [order.run, order.leg, order.id, progress]);
}

/**
 * One batch, tried again in place where that can help: what another transaction was in the way of, after a pause; what the rows do
 * not allow, with half as many, until one row is left to blame.
 */
async function tryBatch(
  site: BatchSite,
  { pause, signal }: DataContext,
  limits: DataLimits,
  wanted: number,
): Promise<Batch & { readonly size: number }> {
  let size = wanted;
  for (let tries = 1; ;) {
    try {
      return { ...(await runBatch(site, size)), size };
    } catch (error) {
      const kind = kindOf(causeOf(error));
      if (
        signal.aborted ||
        error instanceof UnwindError ||
        kind === 'connectionLost' ||
        sqlstateOf(causeOf(error)) === null
      )
        throw error;
      if (answerOf(causeOf(error) as pg.DatabaseError, sqlstateOf(causeOf(error)) as string, site.order) !== null)
        throw error;
      await site.session.client.query('rollback');
      await recordFailure(site, size, causeOf(error));
      if (TRANSIENT.has(kind) || kind === 'canceled') {
        if (tries >= limits.triesPerBatch) throw error;
        site.doing(`a batch was interrupted (SQLSTATE ${sqlstateOf(causeOf(error))}); trying it again`);
        await pause(250 * 2 ** (tries - 1));
        tries += 1;
      } else if (size > 1 && kind === 'data') size = Math.floor(size / 2);
      else throw error;
    }
  }
}

const causeOf = (error: unknown) => (error instanceof MessageError ? error.cause : error);

export const RECORD_FAILURE = `-- pg-unwind data.record-failure
select pgunwind.note_failure($1, $2, $3, $4, $5, $6, $7, $8)`;

/** For people; a failure to record a failure must not hide it. */
async function recordFailure({ session, order }: BatchSite, size: number, cause: unknown): Promise<void> {
  const { message, detail } = cause as pg.DatabaseError;
  const values = [order.run, order.leg, order.id, order.attempt, size, sqlstateOf(cause), message, detail ?? null];
  await session.client.query(RECORD_FAILURE, values).catch(() => undefined);
}

function stalled(order: DataOrder, progress: number, why: string): UnwindError {
  return new UnwindError(
    FailureType.DataStalled,
    `The data migration ${order.id} on "${order.database}" (${order.act}) does not move: ${why}, and its progress is still ${progress}. All batches ` +
      'are durable. Look at the rows that its progress query counts and its batch does not take, and for writers that make new ' +
      'ones; failed batches are in pgunwind.data_failure. Then send the update "retryStep".',
    { details: { progress } },
  );
}

/** Words of ours and the SQLSTATE: the server's own may hold row values, and stay in the journal. */
function asDataFailure(error: unknown, order: DataOrder): unknown {
  if (error instanceof UnwindError) return error;
  const cause = causeOf(error);
  const sqlstate = sqlstateOf(cause);
  if (!(cause instanceof pg.DatabaseError) || sqlstate === null) return error;
  const answer = answerOf(cause, sqlstate, order);
  if (answer !== null) return answer;
  const kind = classify(sqlstate);
  if (TRANSIENT.has(kind) || kind === 'canceled') {
    return new UnwindError(
      FailureType.StepInterrupted,
      `A batch of the data migration ${order.id} on "${order.database}" was interrupted (SQLSTATE ${sqlstate}) and rolled back. Those before it ` +
        'are durable; trying again from there.',
      { details: { sqlstate, kind } },
    );
  }
  return new UnwindError(
    FailureType.DataFailed,
    `A batch of the data migration ${order.id} on "${order.database}" (${order.act}) failed (SQLSTATE ${sqlstate}) and was rolled back; those ` +
      `before it are durable. The server's own words, and where the batch began, are in pgunwind.data_failure of that database ` +
      `(run ${order.run}). Remove the cause, then send the update "retryStep": it goes on there.`,
    { details: { sqlstate, kind } },
  );
}
