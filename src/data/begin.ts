import pg from 'pg';
import type { DataOutcome } from '../contract/data-activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { Answer, type RawReason } from '../journal/answers.js';
import { newerJournal } from '../journal/missing.js';
import { JOURNAL_VERSION } from '../journal/version.js';
import { MessageError, columnOf, sendMessage } from '../postgres/message.js';
import type { Session } from '../postgres/session.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import { limited } from '../postgres/within.js';
import type { InstanceDatabase } from '../step/database.js';
import { dirty } from '../step/failures.js';
import { applicationName, behind, clearTheWay, holdersIn, stale } from '../step/fence.js';
import { reasonOf } from '../step/reasons.js';
import type { DataContext, DataOrder } from './order.js';

/** What the journal says of a data migration that begins, or goes on. */
export interface Begun {
  readonly batches: number;
  readonly rows: number;
  readonly firstProgress: number | null;
  readonly cursor: string | null;
  /** As last measured or told. */
  readonly progress: number | null;
}

export type Beginning =
  | { readonly kind: 'begun'; readonly row: Begun }
  | { readonly kind: 'done'; readonly result: Omit<DataOutcome, 'how'> };

/** Rounds of clearing the way for one attempt: each ends at least one earlier session. */
const MAX_ROUNDS = 5;

/**
 * Takes the locks for the session, ends what earlier attempts left, and asks the guards: token, steps, a clean check.
 * @throws {UnwindError} InstanceBusy (retryable), StaleAttempt, DirtyDatabase, JournalBehind, JournalIncomplete, JournalNewer.
 */
export async function beginData(
  database: InstanceDatabase,
  order: Omit<DataOrder, 'queries'>,
  session: Session,
  context: DataContext,
  waiting: (what: string) => void,
): Promise<Beginning> {
  const lock = database.ledger.lockKey(database.ledgerOptions);
  const parameters = {
    run: order.run,
    leg: order.leg,
    id: order.id,
    act: order.act,
    token: order.token,
    attempt: order.attempt,
    journal: JOURNAL_VERSION,
    application: applicationName(order.token, order.attempt, 0),
    productClass: lock.classId,
    productObject: lock.objId,
  };
  const message = `begin isolation level read committed; select pgunwind.begin_data(${pg.escapeLiteral(JSON.stringify(parameters))}::jsonb) as pgu_begun; commit;`;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    context.signal.throwIfAborted();
    try {
      return { kind: 'begun', row: columnOf<Begun>(await sendMessage(session.client, message), 'pgu_begun') as Begun };
    } catch (error) {
      const cause = error instanceof MessageError ? error.cause : error;
      const sqlstate = sqlstateOf(cause);
      if (!(cause instanceof pg.DatabaseError) || sqlstate === null) throw error;
      await letGo(session);
      if (sqlstate === Answer.done) return { kind: 'done', result: JSON.parse(cause.detail as string) as never };
      if (sqlstate !== Answer.busy) throw answerOf(cause, sqlstate, order) ?? error;
      const newest = await newestToken(session);
      const fence = { sessions: database.sessions, database: database.name, waiting, pause: context.pause };
      await clearTheWay(fence, order, holdersIn(cause), newest, null);
    }
  }
  throw new UnwindError(
    FailureType.InstanceBusy,
    `Sessions of earlier attempts keep coming back on "${database.name}". Nothing was changed by this one. Trying again.`,
    { retryAfterMs: 2_000 },
  );
}

/** What the journal's own answers mean; null: the error is none of them. */
export function answerOf(
  cause: pg.DatabaseError,
  sqlstate: string,
  order: Omit<DataOrder, 'queries'>,
): UnwindError | null {
  switch (sqlstate) {
    case Answer.stale:
      return stale(order.database);
    case Answer.dirty:
      return dirty(
        order.database,
        (JSON.parse(cause.detail ?? '[]') as RawReason[]).map((raw) => reasonOf(raw, order.database)),
      );
    case Answer.behind:
      return behind(order.database, `leg ${order.leg + 1}`);
    case Answer.version:
      return newerJournal(order.database, Number(cause.detail));
    case Answer.incomplete:
      return new UnwindError(
        FailureType.JournalIncomplete,
        `The journal of "${order.database}" does not fit the data migration ${order.id} of leg ${order.leg + 1}: ${cause.message}. Nothing was ` +
          'changed. Abort this run and start again: the new one plans from journal and ledger.',
      );
    case Answer.endedTransaction:
      return new UnwindError(
        FailureType.DataFailed,
        `A query of the data migration ${order.id} on "${order.database}" ended the transaction that was to carry its record. Look at what it ` +
          'left, and correct it in data-migrations.yaml.',
      );
    default:
      return null;
  }
}

/** The server has rolled back by then; a silent one is lost. */
const LET_GO_MS = 10_000;

/** Leaves no transaction and no lock of ours. */
export async function letGo(session: Session): Promise<void> {
  await session.client.query(limited(LET_GO_MS, 'rollback'));
  await session.client.query(limited(LET_GO_MS, 'select pg_advisory_unlock_all()'));
}

async function newestToken(session: Session): Promise<string | null> {
  const text = '-- pg-unwind data.newest-token\nselect f.token::text as token from pgunwind.fence f';
  const { rows } = await session.client.query<{ token: string | null }>(text);
  return rows[0]?.token ?? null;
}
