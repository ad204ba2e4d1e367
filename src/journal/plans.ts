import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Plan, PlanId } from '../contract/plan.js';
import type { ScriptFacts } from '../contract/script.js';
import { limited } from '../postgres/within.js';
import { storeData } from './data.js';

export interface StoredScript {
  readonly sha256: string;
  readonly body: string;
  readonly facts: ScriptFacts;
}

/** A plan's scripts are a megabyte or two: over a slow line they take longer than a query of ours should. */
const LARGE_MS = 100_000;

/** 20 kB in a second is slower than any line that a database should be behind. */
const BYTES_PER_MS = 20;
const QUERY_MS = 30_000;

/** A query with as much time as its values need on the way: for a small one no more than any other has, should nobody answer. */
function sending(text: string, ...values: readonly string[]): pg.QueryConfig {
  const bytes = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  return limited(QUERY_MS + bytes / BYTES_PER_MS, text, [...values]);
}

const STORE_PLAN = `-- pg-unwind plans.store
insert into pgunwind.plan (id, body) values ($1, $2) on conflict do nothing`;

const STORE_STEPS = `-- pg-unwind plans.store-steps
insert into pgunwind.plan_step (plan, seq, leg, migration, name, direction, execution, script, ledger)
select $1, s.seq, s.leg, s.migration, s.name, $2, s.execution, s.script, s.ledger
  from jsonb_to_recordset($3::jsonb) as s (seq integer, leg integer, migration text, name text, execution text, script text, ledger text)
on conflict (plan, seq) do update
   set leg = excluded.leg, migration = excluded.migration, name = excluded.name, direction = excluded.direction,
       execution = excluded.execution, script = excluded.script, ledger = excluded.ledger
 where (plan_step.leg, plan_step.migration, plan_step.name, plan_step.direction, plan_step.execution, plan_step.script, plan_step.ledger)
       is distinct from
       (excluded.leg, excluded.migration, excluded.name, excluded.direction, excluded.execution, excluded.script, excluded.ledger)`;

const STORE_SCRIPTS = `-- pg-unwind plans.store-scripts
insert into pgunwind.script (sha256, body, facts)
select s.sha256, s.body, s.facts
  from jsonb_to_recordset($1::jsonb) as s (sha256 text, body text, facts jsonb)
on conflict (sha256) do update set body = excluded.body, facts = excluded.facts
 where (script.body, script.facts) is distinct from (excluded.body, excluded.facts)`;

/**
 * Writes the plan, this database's steps of it and their scripts: what any worker needs to carry it out. Idempotent; of a plan
 * that is there already, rows that somebody has deleted or changed are put right.
 */
export async function storePlan(
  client: pg.ClientBase,
  plan: Plan,
  database: DatabaseName,
  readScript: (sha256: string) => Promise<StoredScript>,
): Promise<void> {
  const steps = plan.legs.flatMap((leg, at) =>
    (leg.steps[database] ?? []).map(({ seq, migration, name, execution, script, ledger }) => ({
      seq,
      leg: at,
      migration,
      name,
      execution,
      script,
      ledger,
    })),
  );
  const scripts = await Promise.all([...new Set(steps.map((step) => step.script))].map(readScript));
  await client.query('begin isolation level read committed');
  try {
    await client.query(sending(STORE_PLAN, plan.id, JSON.stringify(plan)));
    await client.query(sending(STORE_STEPS, plan.id, plan.direction, JSON.stringify(steps)));
    await client.query(sending(STORE_SCRIPTS, JSON.stringify(scripts)));
    await storeData(client, plan, database, async (sha256) => (await readScript(sha256)).body);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

const READ_PLAN = `-- pg-unwind plans.read
select p.body from pgunwind.plan p where p.id = $1`;

/** @throws {UnwindError} JournalIncomplete */
export async function readPlan(client: pg.ClientBase, id: PlanId, database: DatabaseName): Promise<Plan> {
  const { rows } = await client.query<{ body: string }>(limited(LARGE_MS, READ_PLAN, [id]));
  if (rows[0] === undefined) {
    throw new UnwindError(
      FailureType.JournalIncomplete,
      `The journal of "${database}" holds no plan ${id}. Was the database restored from a copy of before? Nothing was changed. ` +
        'Abort this run and start again: the new one plans from journal and ledger.',
    );
  }
  return JSON.parse(rows[0].body) as Plan;
}

const READ_SCRIPTS = `-- pg-unwind plans.read-scripts
select distinct s.sha256, s.body, s.facts
  from pgunwind.plan_step p
  join pgunwind.script s on s.sha256 = p.script
 where p.plan = $1 and p.leg = $2`;

/**
 * The scripts of one leg.
 * @throws {UnwindError} JournalIncomplete: a text does not have its hash.
 */
export async function readScripts(
  client: pg.ClientBase,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
): Promise<readonly StoredScript[]> {
  const { rows } = await client.query<StoredScript>(limited(LARGE_MS, READ_SCRIPTS, [plan, leg]));
  for (const script of rows) {
    if (createHash('sha256').update(script.body).digest('hex') === script.sha256) continue;
    throw new UnwindError(
      FailureType.JournalIncomplete,
      `A script in the journal of "${database}" (pgunwind.script ${script.sha256}) does not have the hash that it is stored under: it was ` +
        `changed. Nothing was run. Restore its body from the catalog (scripts/${script.sha256}.sql), then send the update "retryStep"; or abort ` +
        'this run and start again: the new one writes its scripts from the catalog.',
    );
  }
  return rows;
}
