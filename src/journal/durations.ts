import type pg from 'pg';
import type { Durations } from '../contract/estimate.js';
import type { PlanId } from '../contract/plan.js';
import { askValue } from '../postgres/ask-value.js';

/** Runs that are looked at, the newest: a journal of years must not make a plan wait (20 of 272 steps: 0.1 s on two busy cores). */
const RUNS = 20;
/** A step's own figure is the median of its last so many. */
const LAST = 3;
/** The plan goes without figures rather than wait for them any longer. */
const LIMIT_MS = 2_000;

// A time counts only where nothing but work lay in it: a row that an earlier attempt began (scripts of several transactions, data
// migrations) may have waited for a person, so no failure and no decision may lie between its two ends. A gap that is five times
// the usual one was somebody's wait.
const EARLIER = `-- pg-unwind durations.earlier
with recent as materialized (
  select r.run, r.ended_at, r.state
    from pgunwind.run r
   where r.claimed_at is not null
   order by r.planned_at desc
   limit ${RUNS}
), decided as materialized (
  select d.run, d.at from pgunwind.decision d where d.run in (select r.run from recent r)
), failed as materialized (
  select f.run, f.seq from pgunwind.failure f where f.run in (select r.run from recent r)
), chain as materialized (
  select s.run, s.seq, s.leg, s.migration, s.direction, s.script, s.execution, s.started_at, s.finished_at, s.result ->> 'how' as how,
         lag(s.finished_at) over w as before_at, lag(s.leg) over w as before_leg
    from pgunwind.step s
   where s.run in (select r.run from recent r) and s.state = 'done'
  window w as (partition by s.run order by s.seq)
), took as materialized (
  select c.migration, c.direction, c.script, c.execution, c.finished_at,
         extract(epoch from c.finished_at - c.started_at)::float8 * 1000 as ms
    from chain c
   where c.how in ('ran', 'empty')
     and c.finished_at >= c.started_at
     and (c.execution in ('atomic', 'empty')
       or not exists (select from failed f where f.run = c.run and f.seq = c.seq)
         and not exists (select from decided d where d.run = c.run and d.at between c.started_at and c.finished_at))
), newest as (
  select t.migration, t.direction, t.script, t.ms,
         row_number() over (partition by t.migration, t.direction, t.script order by t.finished_at desc) as nth
    from took t
), gaps as materialized (
  select c.leg is distinct from c.before_leg as boundary, extract(epoch from c.started_at - c.before_at)::float8 * 1000 as ms
    from chain c
   where c.started_at >= c.before_at
     and not exists (select from decided d where d.run = c.run and d.at between c.before_at and c.started_at)
), usual as (
  select percentile_cont(0.5) within group (order by g.ms) filter (where not g.boundary) as gap_ms,
         percentile_cont(0.5) within group (order by g.ms) filter (where g.boundary) as boundary_ms
    from gaps g
), ends as (
  select extract(epoch from r.ended_at - max(c.finished_at))::float8 * 1000 as ms
    from recent r
    join chain c on c.run = r.run
   where r.state = 'completed'
   group by r.run, r.ended_at
  having not exists (select from decided d where d.run = r.run and d.at between max(c.finished_at) and r.ended_at)
), moved as (
  select distinct on (d.id, d.act)
         d.id, d.act,
         extract(epoch from d.finished_at - d.started_at)::float8 * 1000 / coalesce(abs(d.progress - d.first_progress), 1) as ms
    from pgunwind.data_step d
   where d.run in (select r.run from recent r)
     and d.state = 'done' and d.act in ('forward', 'reverse') and d.rows > 0
     and coalesce(abs(d.progress - d.first_progress), 1) >= 0.05
     and not exists (select from pgunwind.data_failure f where f.run = d.run and f.leg = d.leg and f.data = d.id)
     and not exists (select from decided e where e.run = d.run and e.at between d.started_at and d.finished_at)
   order by d.id, d.act, d.finished_at desc
)
select jsonb_build_object(
  'own', (select coalesce(jsonb_object_agg(o.seq, o.ms), '{}')
            from (select w.seq, percentile_cont(0.5) within group (order by n.ms) as ms
                    from pgunwind.plan_step w
                    join newest n on n.migration = w.migration and n.direction = w.direction and n.script = w.script
                   where w.plan = $1 and n.nth <= ${LAST}
                   group by w.seq) o),
  'kinds', (select coalesce(jsonb_object_agg(k.execution, k.ms), '{}')
              from (select t.execution, percentile_cont(0.5) within group (order by t.ms) as ms
                      from took t group by t.execution) k),
  'gapMs', (select avg(least(g.ms, 5 * u.gap_ms)) from gaps g, usual u where not g.boundary),
  'boundaryMs', (select u.boundary_ms from usual u),
  'endMs', (select percentile_cont(0.5) within group (order by e.ms) from ends e),
  'data', (select coalesce(jsonb_object_agg(m.id || ' ' || m.act, m.ms), '{}') from moved m)) as durations`;

/** Null: the server did not say, or not in time. A plan does without. */
export async function readDurations(client: pg.ClientBase, plan: PlanId): Promise<Durations | null> {
  const answer = await askValue(client, EARLIER, LIMIT_MS, [plan]).catch(() => null);
  return (answer ?? null) as Durations | null; // as: built just above
}
