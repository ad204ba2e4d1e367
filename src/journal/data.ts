import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { DataOutcome, DataPlace } from '../contract/data-activities.js';
import type { DatabaseName, DataMigrationId } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Plan, PlannedDataStep } from '../contract/plan.js';
import { limited } from '../postgres/within.js';

const STORE_DATA = `-- pg-unwind data.store
insert into pgunwind.plan_data (plan, leg, id, act, batch)
select $1, d.leg, d.id, d.act, d.batch
  from jsonb_to_recordset($2::jsonb) as d (leg integer, id text, act text, batch text)
on conflict (plan, leg, id) do update set act = excluded.act, batch = excluded.batch
 where (plan_data.act, plan_data.batch) is distinct from (excluded.act, excluded.batch)`;

const STORE_QUERIES = `-- pg-unwind data.store-queries
insert into pgunwind.script (sha256, body, facts)
select q.sha256, q.body, '{}'
  from jsonb_to_recordset($1::jsonb) as q (sha256 text, body text)
on conflict (sha256) do update set body = excluded.body where script.body <> excluded.body`;

/** Hashes of the texts that a data migration's way may need. */
export function textsOf({ handler }: PlannedDataStep): readonly string[] {
  if (handler.kind !== 'sql') return [];
  const { progress, forward, reverse, verifyForward, verifyReverse } = handler;
  return [progress, forward, reverse, verifyForward, verifyReverse].filter((sha256) => sha256 !== null);
}

/** Two plans that say the same walk the same way, and a cursor of the one is good for the other. */
function batchOf({ act, handler }: PlannedDataStep): string | null {
  if (act === 'leave' || act === 'lose') return null;
  if (handler.kind === 'activity') return `${handler.type} on ${handler.taskQueue}`;
  return act === 'forward' ? handler.forward : handler.reverse;
}

/** This database's data migrations of a plan and their queries; in the transaction of `storePlan`. */
export async function storeData(
  client: pg.ClientBase,
  plan: Plan,
  database: DatabaseName,
  readText: (sha256: string) => Promise<string>,
): Promise<void> {
  const steps = plan.legs.flatMap(({ data = [] }, leg) =>
    data.filter((step) => step.database === database).map((step) => ({ leg, step })),
  );
  if (steps.length === 0) return;
  const rows = steps.map(({ leg, step }) => ({ leg, id: step.id, act: step.act, batch: batchOf(step) }));
  const hashes = [...new Set(steps.flatMap(({ step }) => textsOf(step)))];
  const queries = await Promise.all(hashes.map(async (sha256) => ({ sha256, body: await readText(sha256) })));
  await client.query(limited(LARGE_MS, STORE_DATA, [plan.id, JSON.stringify(rows)]));
  await client.query(limited(LARGE_MS, STORE_QUERIES, [JSON.stringify(queries)]));
}

/** As for scripts: over a slow line it takes longer than a query of ours should. */
const LARGE_MS = 100_000;

const READ_QUERIES = `-- pg-unwind data.read-queries
select s.sha256, s.body from pgunwind.script s where s.sha256 = any ($1)`;

/**
 * The texts with these hashes.
 * @throws {UnwindError} JournalIncomplete: one is not there, or is not the text that its hash names.
 */
export async function readQueries(
  client: pg.ClientBase,
  hashes: readonly string[],
  database: DatabaseName,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ sha256: string; body: string }>(READ_QUERIES, [hashes]);
  const texts = new Map(rows.map(({ sha256, body }) => [sha256, body]));
  for (const sha256 of hashes) {
    const body = texts.get(sha256);
    if (body !== undefined && createHash('sha256').update(body).digest('hex') === sha256) continue;
    throw new UnwindError(
      FailureType.JournalIncomplete,
      `The journal of "${database}" ${body === undefined ? 'lacks' : 'holds under another text'} the query ${sha256} (pgunwind.script). Nothing ` +
        `was run. Restore its body from the catalog (scripts/${sha256}.sql), then send the update "retryStep"; or abort this run and ` +
        'start again: the new one writes its queries from the catalog.',
    );
  }
  return texts;
}

export interface DataRow {
  readonly leg: number;
  readonly id: DataMigrationId;
  readonly done: boolean;
  readonly batches: number;
  readonly rows: number;
  readonly progress: number | null;
}

const DATA_STEPS = `-- pg-unwind data.steps
select d.leg, d.id, d.state = 'done' as done, d.batches::float8 as batches, d.rows::float8 as rows, d.progress
  from pgunwind.data_step d
 where d.run = $1`;

/** What the journal says of a run's data migrations; those that have not begun are not among them. */
export async function dataSteps(client: pg.ClientBase, run: string): Promise<readonly DataRow[]> {
  return (await client.query<DataRow>(DATA_STEPS, [run])).rows;
}

const NOTE_CALL = `-- pg-unwind data.note-call
select pgunwind.note_call($1, $2, $3, $4, $5, $6, $7, $8, $9) as position`;

const RESULT = `-- pg-unwind data.result
select d.result from pgunwind.data_step d where d.run = $1 and d.leg = $2 and d.id = $3 and d.state = 'done'`;

/** Idempotent: a call is known by the number of batches before it. */
export async function noteCall(
  client: pg.ClientBase,
  place: { readonly run: string; readonly leg: number; readonly id: DataMigrationId; readonly token: string },
  call: {
    /** It has recorded its batches itself. */
    readonly own: boolean;
    readonly batchesBefore: number;
    readonly cursor: string | null;
    readonly rows: number;
    readonly progress: number | null;
  },
): Promise<DataPlace> {
  const { run, leg, id, token } = place;
  const values = [run, leg, id, token, call.own, call.batchesBefore, call.cursor, call.rows, call.progress];
  return (await client.query<{ position: DataPlace }>(NOTE_CALL, values)).rows[0]?.position as DataPlace;
}

/** Null: it is not done. */
export async function dataResult(
  client: pg.ClientBase,
  { run, leg, id }: { readonly run: string; readonly leg: number; readonly id: DataMigrationId },
): Promise<Omit<DataOutcome, 'how'> | null> {
  return (await client.query<{ result: Omit<DataOutcome, 'how'> }>(RESULT, [run, leg, id])).rows[0]?.result ?? null;
}

const ACCEPTED = `-- pg-unwind data.accepted
select d.id, d.expected, d.found
  from pgunwind.accepted a,
       jsonb_to_recordset(a.data) as d (id text, expected integer, found double precision)
 where a.run = $1 and a.leg = $2 and a.code = 'dataNotAtEnd'`;

/** Data migrations that an operator has accepted at a boundary, where they were found. */
export async function acceptedData(
  client: pg.ClientBase,
  run: string,
  leg: number,
): Promise<readonly { readonly id: string; readonly expected: number; readonly found: number }[]> {
  return (await client.query<{ id: string; expected: number; found: number }>(ACCEPTED, [run, leg])).rows;
}
