import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import { columnOf, sendMessage } from '../postgres/message.js';
import { loadParser, parametersOf, tryParse } from '../postgres/script-parse.js';
import type { Session } from '../postgres/session.js';
import { LONGEST_TIMER_MS } from '../postgres/within.js';
import type { InstanceDatabase } from '../step/database.js';
import { createLockWaits } from '../step/lock-waits.js';
import { watched } from '../step/watch.js';
import type { DataOrder } from './order.js';

export interface Batch {
  /** Where it began; null: at the beginning. */
  readonly from: string | null;
  /** Where the next one begins. */
  readonly cursor: string | null;
  readonly rows: number;
  readonly tookMs: number;
  /** Sessions that waited for its locks at its end. */
  readonly waiting: number;
}

export interface BatchSite {
  readonly database: InstanceDatabase;
  readonly order: DataOrder;
  readonly session: Session;
  readonly signal: AbortSignal;
  /** Told what a query that takes long does and waits for. */
  readonly doing: (what: string) => void;
  /** The batch's query has a place for the cursor: the server takes no value for a parameter that a text does not use. */
  readonly takesCursor: boolean;
}

/** Does this query of a batch use `$2`? One that finds what is left without a cursor need not. */
export async function takesCursor(text: string): Promise<boolean> {
  await loadParser();
  const statements = tryParse(text);
  return statements === null || parametersOf(statements).includes(2);
}

const literal = (value: string) => pg.escapeLiteral(value);

/** As text, whatever its type: a cursor is handed back as it came, and a bigint stays exact. */
const AS_TEXT = { getTypeParser: () => (value: string) => value };

/**
 * One batch in one transaction: guard, the author's query, and where the next one begins. Either all of it takes effect or nothing.
 * @throws {UnwindError} DataFailed: the query does not answer as it must; MessageError or the driver's error: of the server.
 */
export async function runBatch(site: BatchSite, size: number): Promise<Batch> {
  const { order, session } = site;
  const began = performance.now();
  const place = `${literal(order.run)}, ${order.leg}, ${literal(order.id)}`;
  const begun = await watching(site, () =>
    sendMessage(
      session.client,
      `begin isolation level read committed; select pgunwind.begin_batch(${place}, ${literal(order.token)}) as pgu_cursor;`,
    ),
  );
  const from = columnOf<string | null>(begun, 'pgu_cursor') ?? null;
  const answer = await ask(site, order.queries.batch, site.takesCursor ? [size, from] : [size]);
  const { rows, cursor } = batchAnswer(order, answer, size);
  // Nothing done and nowhere to go on: the next pass begins at the beginning.
  const next = rows === 0 && cursor === from ? null : cursor;
  const cursorText = next === null ? 'null' : literal(next);
  const ended = await watching(site, () =>
    sendMessage(
      session.client,
      `select pgunwind.end_batch(${place}, ${cursorText}, ${rows}), pgunwind.waiting_behind() as pgu_waiting; commit;`,
    ),
  );
  const waiting = columnOf<number>(ended, 'pgu_waiting') ?? 0;
  return { from, cursor: next, rows, waiting, tookMs: performance.now() - began };
}

/**
 * How far the data is: 0 is the older releases' form, 1 the newer ones'. Null, as `avg` answers over no row: there is nothing to
 * move, so it is at either end; the query is not told the direction, and could not answer so that an empty table suits both.
 */
export async function askProgress(site: BatchSite): Promise<number> {
  const { order } = site;
  const row = onlyRow(order, await ask(site, order.queries.progress, []), 'progress');
  const [text] = Object.values(row);
  if (text === null) return endOf(order);
  const value = text === undefined || text === '' ? NaN : Number(text);
  if (value >= 0 && value <= 1) return value;
  throw wrongAnswer(order, 'progress', 'answered a value that is no number from 0 to 1');
}

/** The progress at which it is done. */
export function endOf({ act }: Pick<DataOrder, 'act'>): 0 | 1 {
  return act === 'forward' ? 1 : 0;
}

/** Does the author's own check of this end hold? True where there is none. */
export async function askVerify(site: BatchSite): Promise<boolean> {
  const { verify } = site.order.queries;
  if (verify === null) return true;
  const [text] = Object.values(onlyRow(site.order, await ask(site, verify, []), 'verify'));
  if (text === 't' || text === 'f') return text === 't';
  throw wrongAnswer(site.order, 'verify', 'answered no boolean');
}

type Row = Readonly<Record<string, string | null>>;

/** A query of the author's may take as long as it takes. */
async function ask(site: BatchSite, text: string, values: unknown[]) {
  const query = { text, values, types: AS_TEXT, query_timeout: LONGEST_TIMER_MS };
  const { rows } = await watching(site, () => site.session.client.query<Row>(query));
  return rows;
}

/** A lock that is waited for is told, a cancellation reaches the server, and a path that has gone silent is found out. */
export function watching<T>(site: BatchSite, work: () => Promise<T>): Promise<T> {
  const { database, order, session, signal, doing } = site;
  const { sessions, name, lockTimeoutMs, blockers } = database;
  const waits = createLockWaits({
    policy: blockers,
    session,
    step: { run: order.run, seq: 0, attempt: order.attempt },
  });
  return watched({ sessions, session, database: name, progress: doing, signal, waits, lockTimeoutMs }, work);
}

function onlyRow(order: DataOrder, rows: readonly Row[], query: string): Row {
  const [row] = rows;
  if (row !== undefined && rows.length === 1) return row;
  throw wrongAnswer(order, query, rows.length === 0 ? 'returned no row' : `returned ${rows.length} rows`);
}

function batchAnswer(order: DataOrder, answer: readonly Row[], size: number): { rows: number; cursor: string | null } {
  const row = onlyRow(order, answer, order.act);
  const { rows: count, cursor } = row;
  if (count === undefined || cursor === undefined) {
    throw wrongAnswer(order, order.act, 'returned no columns "rows" and "cursor"');
  }
  const rows = count === null ? NaN : Number(count);
  if (!Number.isSafeInteger(rows) || rows < 0) {
    throw wrongAnswer(order, order.act, 'returned a number of rows that is none');
  }
  // One statement may touch more than it was asked for (children of a row); ten times as much is no limit that it keeps. Of a few rows
  // that says nothing: batches shrink, and one row may have many children.
  if (rows > 10 * Math.max(size, 100)) {
    throw wrongAnswer(order, order.act, `did ${rows} rows where ${size} were asked for, so it does not keep to $1`);
  }
  return { rows, cursor };
}

function wrongAnswer(order: DataOrder, query: string, what: string): UnwindError {
  return new UnwindError(
    FailureType.DataFailed,
    `The query "${query}" of the data migration ${order.id} on "${order.database}" ${what}. That batch was rolled back; those before it are ` +
      'durable. Correct the query in data-migrations.yaml, build the catalog again, then abort this run and start again.',
    { details: { query } },
  );
}
