import type pg from 'pg';
import type { Direction, PlanId } from '../contract/plan.js';

/** A run as one database's journal holds it. Times are ISO 8601, by that server's clock. */
export interface RunRecord {
  readonly run: string;
  readonly plan: PlanId;
  readonly direction: Direction;
  /** The release it started from; null: between releases, or a data migration by itself. */
  readonly from: string | null;
  readonly target: string;
  readonly namespace: string;
  readonly workflowId: string;
  readonly state: 'open' | 'completed' | 'aborted' | 'cancelled' | 'superseded';
  readonly plannedAt: string;
  /** Null: planned only, nothing was done. */
  readonly claimedAt: string | null;
  readonly endedAt: string | null;
  readonly stepsDone: number;
  readonly stepsTotal: number;
  readonly decisions: readonly RecordedDecision[];
}

export interface RecordedDecision {
  readonly at: string;
  readonly kind: string;
  readonly by: string | null;
  readonly why: string | null;
}

// A plan's `from` is read out of its body, once for each plan that is shown.
const RUNS = `-- pg-unwind history.runs
select r.run::text as run, r.plan, r.direction, p.body::jsonb -> 'from' ->> 'release' as "from", r.target, r.namespace,
       r.workflow_id as "workflowId", r.state, r.planned_at as "plannedAt", r.claimed_at as "claimedAt", r.ended_at as "endedAt",
       (select count(*) from pgunwind.step s where s.run = r.run and s.state = 'done')::integer
         + (select count(*) from pgunwind.data_step d where d.run = r.run and d.state = 'done')::integer as "stepsDone",
       (select count(*) from pgunwind.plan_step s where s.plan = r.plan)::integer
         + (select count(*) from pgunwind.plan_data d where d.plan = r.plan)::integer as "stepsTotal",
       coalesce((select jsonb_agg(jsonb_build_object('at', d.at, 'kind', d.kind, 'by', d.decided_by, 'why', d.why) order by d.at, d.id)
                   from pgunwind.decision d where d.run = r.run), '[]') as decisions
  from pgunwind.run r
  join pgunwind.plan p on p.id = r.plan
 where r.instance = $1
 order by r.planned_at desc
 limit $2`;

type Timed = 'plannedAt' | 'claimedAt' | 'endedAt';
type RunFields = Omit<RunRecord, Timed> & Record<'plannedAt', Date> & Record<'claimedAt' | 'endedAt', Date | null>;

/** The newest runs of an instance, newest first. */
export async function readRuns(client: pg.ClientBase, instance: string, last: number): Promise<readonly RunRecord[]> {
  const { rows } = await client.query<RunFields>(RUNS, [instance, last]);
  return rows.map((row) => ({
    ...row,
    plannedAt: row.plannedAt.toISOString(),
    claimedAt: row.claimedAt?.toISOString() ?? null,
    endedAt: row.endedAt?.toISOString() ?? null,
    decisions: row.decisions.map((it) => ({ ...it, at: new Date(it.at).toISOString() })),
  }));
}
