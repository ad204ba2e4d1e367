import type pg from 'pg';
import type { Owner } from '../contract/activities.js';
import { BLOCKER_POLICIES, type BlockerPolicy } from '../contract/blockers.js';
import type { MigrationId } from '../contract/catalog.js';
import type { Direction, PlanId } from '../contract/plan.js';

/** An open run as one database's journal holds it. */
export interface RunRow {
  readonly run: string;
  readonly plan: PlanId;
  readonly instance: string;
  readonly direction: Direction;
  readonly target: string;
  readonly namespace: string;
  readonly workflowId: string;
  readonly claimed: boolean;
}

const OPEN_RUNS = `-- pg-unwind runs.open
select r.run, r.plan, r.instance, r.direction, r.target, r.namespace, r.workflow_id as "workflowId",
       r.claimed_at is not null as claimed
  from pgunwind.run r
 where r.ended_at is null
 order by r.planned_at desc`;

/** The open runs, newest first. */
export async function openRuns(client: pg.ClientBase): Promise<readonly RunRow[]> {
  return (await client.query<RunRow>(OPEN_RUNS)).rows;
}

export interface NewRun {
  readonly run: string;
  readonly plan: PlanId;
  readonly instance: string;
  readonly direction: Direction;
  readonly target: string;
  readonly owner: Pick<Owner, 'namespace' | 'workflowId'>;
  /** Ids that the ledger called applied when the plan was made. */
  readonly base: readonly MigrationId[];
}

const INSERT_RUN = `-- pg-unwind runs.insert
insert into pgunwind.run (run, plan, instance, direction, target, namespace, workflow_id, base, base_invalid)
values ($1, $2, $3, $4, $5, $6, $7, $8,
        array(select x.indexrelid from pg_index x join pg_class c on c.oid = x.indexrelid
               where not x.indisvalid and c.relpersistence <> 't'))
on conflict (run) do nothing`;

/** Idempotent: a repeat leaves the first row, whose base is that of the plan. */
export async function insertRun(client: pg.ClientBase, run: NewRun): Promise<void> {
  await client.query(INSERT_RUN, [
    run.run,
    run.plan,
    run.instance,
    run.direction,
    run.target,
    run.owner.namespace,
    run.owner.workflowId,
    run.base,
  ]);
}

const DONE_STEPS = `-- pg-unwind runs.done-steps
select s.seq from pgunwind.step s where s.run = $1 and s.state = 'done' order by s.seq`;

export async function doneSteps(client: pg.ClientBase, run: string): Promise<ReadonlySet<number>> {
  const { rows } = await client.query<{ seq: number }>(DONE_STEPS, [run]);
  return new Set(rows.map((row) => row.seq));
}

const CLOSED_LEGS = `-- pg-unwind runs.closed-legs
select l.leg from pgunwind.leg l where l.run = $1`;

export async function closedLegs(client: pg.ClientBase, run: string): Promise<ReadonlySet<number>> {
  const { rows } = await client.query<{ leg: number }>(CLOSED_LEGS, [run]);
  return new Set(rows.map((row) => row.leg));
}

const STANDING = `-- pg-unwind runs.standing
select array(select s.seq from pgunwind.step s where s.run = $1 and s.state = 'done') as done,
       exists (select from pgunwind.leg l where l.run = $1 and l.leg = $2) as closed`;

/** What a leg needs to know of its run: one question, for it is asked at the beginning of each. */
export async function legStanding(
  client: pg.ClientBase,
  run: string,
  leg: number,
): Promise<{ readonly done: ReadonlySet<number>; readonly closed: boolean }> {
  const { rows } = await client.query<{ done: number[]; closed: boolean }>(STANDING, [run, leg]);
  const { done, closed } = rows[0] as { done: number[]; closed: boolean };
  return { done: new Set(done), closed };
}

const HALF_DONE = `-- pg-unwind runs.half-done
select s.migration, s.direction, s.script
  from pgunwind.step s
 where s.state = 'started'`;

/** Steps that began and did not end, of any run: at most one per database unless someone went past a dirty check. */
export async function halfDone(
  client: pg.ClientBase,
): Promise<readonly { migration: MigrationId; direction: Direction; script: string }[]> {
  return (await client.query<{ migration: MigrationId; direction: Direction; script: string }>(HALF_DONE)).rows;
}

const END_RUN = `-- pg-unwind runs.end
with ended as (
  update pgunwind.run r
     set ended_at = clock_timestamp(), state = $2
   where r.run = $1 and r.ended_at is null
  returning r.run
)
select pgunwind.leave_data(e.run) from ended e`;

const SETTLE = `-- pg-unwind runs.settle
select pgunwind.settle_steps()`;

export async function endRun(
  client: pg.ClientBase,
  run: string,
  state: 'completed' | 'aborted' | 'cancelled',
): Promise<void> {
  await client.query(END_RUN, [run, state]);
  await client.query(SETTLE);
}

const FENCE = `-- pg-unwind runs.fence
select f.token::text as token, f.namespace, f.workflow_id as "workflowId", f.run::text as run,
       exists (select from pgunwind.run r where r.run = f.run and r.ended_at is null) as open,
       (select s.system_identifier from pg_control_system() s) || '/' || d.oid as server
  from pg_database d
  left join pgunwind.fence f on true -- somebody may have deleted the row: the next claim makes it anew
 where d.datname = current_database()`;

export interface FenceRow {
  readonly token: string | null;
  readonly namespace: string | null;
  readonly workflowId: string | null;
  readonly run: string | null;
  /** The run that the last claim was for has not ended. */
  readonly open: boolean;
  /** Cluster and database that the connection leads to, `<system identifier>/<oid>`. */
  readonly server: string;
}

export async function readFence(client: pg.ClientBase): Promise<FenceRow> {
  return (await client.query<FenceRow>(FENCE)).rows[0] as FenceRow;
}

const YIELD = `-- pg-unwind runs.yield-claim
update pgunwind.fence set token = null where token = $1`;

/** A claim that is not the newest any more is left alone. */
export async function yieldFence(client: pg.ClientBase, token: string): Promise<void> {
  await client.query(YIELD, [token]);
}

const DECIDE = `-- pg-unwind runs.decide
insert into pgunwind.decision (run, plan, at, kind, decided_by, why, details)
select $1::uuid, $2, $3::timestamptz, $4::text, $5, $6, $7::jsonb
 where not exists (select from pgunwind.decision d
                    where d.run = $1 and d.at = $3 and d.kind = $4 and d.decided_by is not distinct from $5::text
                      and d.why is not distinct from $6::text and d.details = $7::jsonb)`;

/**
 * `at` is workflow time: a repeat after a lost answer says the same moment, and writes nothing. Decisions that came at once say it too, and are
 * told apart by the rest.
 */
export async function recordDecision(
  client: pg.ClientBase,
  decision: {
    run: string;
    plan: PlanId | null;
    at: string;
    kind: string;
    by: string | null;
    why: string | null;
    details: unknown;
  },
): Promise<void> {
  const { run, plan, at, kind, by, why, details } = decision;
  await client.query(DECIDE, [run, plan, at, kind, by, why, JSON.stringify(details)]);
}

const SAID_SINCE = `-- pg-unwind runs.said-since
select (select d.details->'options'->>'blockers'
          from pgunwind.decision d
         where d.run = $1 and d.kind = 'setOptions' and d.details->'options' ? 'blockers'
         order by d.id desc
         limit 1) as blockers,
       exists (select from pgunwind.decision d
                where d.run = $1 and d.at >= $3::timestamptz
                  and (d.kind = 'turnBack' or d.kind = 'abort' and d.details->>'at' is distinct from 'boundary'))
       and not exists (select from pgunwind.step s where s.run = $1 and s.seq = $2) as "isOver"`;

export interface SaidSince {
  /** The last word about sessions in the way of this run's steps; null: none. */
  readonly blockers: BlockerPolicy | null;
  /** The run is being ended, and of this step nothing stands. */
  readonly isOver: boolean;
}

/**
 * What operators have said while a step was being tried.
 * @param since - When the step was begun: one that begins in a run that somebody ends knows it.
 */
export async function saidSince(
  client: pg.ClientBase,
  step: { readonly run: string; readonly seq: number },
  since: Date,
): Promise<SaidSince> {
  const { rows } = await client.query<{ blockers: string | null; isOver: boolean }>(SAID_SINCE, [
    step.run,
    step.seq,
    since.toISOString(),
  ]);
  const { blockers = null, isOver = false } = rows[0] ?? {};
  return { blockers: BLOCKER_POLICIES.find((policy) => policy === blockers) ?? null, isOver };
}

const IS_APPROVED = `-- pg-unwind runs.is-approved
select exists (select from pgunwind.decision d where d.run = $1 and d.plan = $2 and d.kind = 'approve') as approved`;

export async function isApproved(client: pg.ClientBase, run: string, plan: PlanId): Promise<boolean> {
  return (await client.query<{ approved: boolean }>(IS_APPROVED, [run, plan])).rows[0]?.approved === true;
}

const PLAN_OF_RUN = `-- pg-unwind runs.plan-of-run
select r.plan from pgunwind.run r where r.run = $1`;

/** Null: this journal has no such run. */
export async function planOfRun(client: pg.ClientBase, run: string): Promise<PlanId | null> {
  return (await client.query<{ plan: PlanId }>(PLAN_OF_RUN, [run])).rows[0]?.plan ?? null;
}
