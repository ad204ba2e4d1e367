import pg from 'pg';
import type { DataOutcome, DataPlace } from '../contract/data-activities.js';
import { dataResult, noteCall } from '../journal/data.js';
import { MessageError } from '../postgres/message.js';
import type { Session } from '../postgres/session.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from '../step/database.js';
import { answerOf, beginData, letGo } from './begin.js';
import { endData } from './end.js';
import { createMeter } from './meter.js';
import { DATA_LIMITS, type DataContext, type DataOrder } from './order.js';
import { RECORD_FAILURE } from './run-data.js';
import { createThrottle } from './throttle.js';

// A data migration whose batches are the product's own: what pg-unwind does around the calls. Its sessions hold no lock between them:
// the batches take the locks in their own transactions (pgunwind.batch_done), or none.

type Order = Omit<DataOrder, 'queries'>;

export type CallsBeginning =
  | { readonly kind: 'begun'; readonly position: DataPlace; readonly progress: number | null }
  | { readonly kind: 'done'; readonly outcome: DataOutcome };

/** Guards, as for a batch of ours, and where the journal says that the calls go on. Returns when no limit is exceeded. */
export function beginCalls(database: InstanceDatabase, order: Order, context: DataContext): Promise<CallsBeginning> {
  return database.sessions.withSession(async (session) => {
    const doing = (what: string) => tell(context, what);
    const beginning = await beginData(database, order, session, context, doing);
    if (beginning.kind === 'done') return { kind: 'done', outcome: { ...beginning.result, how: 'foundDone' } };
    await letGo(session);
    await throttled(session, order, context);
    const { cursor, batches, rows, progress } = beginning.row;
    return { kind: 'begun', position: { cursor, batches, rows }, progress };
  });
}

/** What a call has answered, into the journal. Returns where that stands then, when no limit is exceeded any more. */
export function noteAnswer(
  database: InstanceDatabase,
  order: Order,
  call: Parameters<typeof noteCall>[2],
  context: DataContext,
): Promise<DataPlace> {
  return database.sessions.withSession(async (session) => {
    const position = await answering(order, () => noteCall(session.client, order, call));
    await throttled(session, order, context);
    return position;
  });
}

/** For people: pgunwind.data_failure, and the product's own record of errors where it keeps one. */
export function noteFailure(database: InstanceDatabase, order: Order, size: number, message: string): Promise<void> {
  return database.sessions.withSession(async ({ client }) => {
    await client.query(RECORD_FAILURE, [order.run, order.leg, order.id, order.attempt, size, null, message, null]);
  });
}

/** Idempotent: what is done already answers what it answered. */
export function endCalls(database: InstanceDatabase, order: Order, progress: number): Promise<DataOutcome> {
  return database.sessions.withSession(async (session) => {
    const earlier = await dataResult(session.client, order);
    if (earlier !== null) return { ...earlier, how: 'foundDone' };
    return { ...(await answering(order, () => endData(session, order, progress))), how: 'ran' };
  });
}

function throttled(session: Session, order: Order, context: DataContext): Promise<void> {
  const site = { session, order, doing: (what: string) => tell(context, what) };
  return createThrottle(site, context, { ...DATA_LIMITS, ...context.limits }).pass();
}

function tell(context: DataContext, what: string): void {
  context.tell(createMeter({ batches: 0, rows: 0 }, 0).beat(what, 0));
}

/** The journal's own answers, in our words. */
async function answering<T>(order: Order, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof MessageError ? error.cause : error;
    const sqlstate = sqlstateOf(cause);
    throw (cause instanceof pg.DatabaseError && sqlstate !== null ? answerOf(cause, sqlstate, order) : null) ?? error;
  }
}
