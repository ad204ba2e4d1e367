-- pg-unwind log.entries
-- $1 instance, $2 beginning of a run's id or null, $3 failures only, $4 how many
with runs as (
  select r.* from pgunwind.run r
   where r.instance = $1 and ($2::text is null or starts_with(r.run::text, $2))
), entries as (
  select r.planned_at as at, 'planned' as kind, r.run, null::integer as seq,
         jsonb_build_object('direction', r.direction, 'target', r.target, 'plan', r.plan) as facts
    from runs r
  union all
  select r.claimed_at, 'claimed', r.run, null, jsonb_build_object('workflowId', r.workflow_id, 'namespace', r.namespace)
    from runs r where r.claimed_at is not null
  union all
  select r.ended_at, 'ended', r.run, null, jsonb_build_object('state', r.state)
    from runs r where r.ended_at is not null
  union all
  select coalesce(s.finished_at, s.started_at), 'step', s.run, s.seq,
         jsonb_build_object('migration', s.migration, 'name', p.name, 'direction', s.direction, 'execution', s.execution,
           'state', s.state, 'attempt', s.attempt, 'how', s.result ->> 'how',
           'ms', round(extract(epoch from s.finished_at - s.started_at) * 1000),
           'notices', (select count(*) from pgunwind.notice n where n.run = s.run and n.seq = s.seq))
    from pgunwind.step s
    join runs r on r.run = s.run
    left join pgunwind.plan_step p on p.plan = r.plan and p.seq = s.seq
  union all
  select coalesce(d.finished_at, d.batch_at, d.started_at), 'data', d.run, null,
         jsonb_build_object('data', d.id, 'act', d.act, 'state', d.state, 'attempt', d.attempt, 'rows', d.rows, 'batches', d.batches,
           'progress', d.progress, 'ms', round(extract(epoch from d.finished_at - d.started_at) * 1000))
    from pgunwind.data_step d join runs r on r.run = d.run
  union all
  select l.closed_at, 'release', l.run, null, jsonb_build_object('leg', l.leg, 'release', l.release)
    from pgunwind.leg l join runs r on r.run = l.run
  union all
  select h.answered_at, 'hook', h.run, null, jsonb_build_object('hook', h.hook, 'answer', h.answer)
    from pgunwind.hook h join runs r on r.run = h.run
  union all
  select d.at, 'decision', d.run, null,
         jsonb_build_object('decision', d.kind, 'by', d.decided_by, 'why', d.why, 'details', d.details)
    from pgunwind.decision d join runs r on r.run = d.run
  union all
  select f.at, 'failure', f.run, f.seq,
         jsonb_build_object('migration', p.migration, 'name', p.name, 'attempt', f.attempt, 'sqlstate', f.sqlstate,
           'statement', f.statement, 'message', f.message, 'detail', f.detail)
    from pgunwind.failure f
    join runs r on r.run = f.run
    left join pgunwind.plan_step p on p.plan = r.plan and p.seq = f.seq
  union all
  select f.at, 'dataFailure', f.run, null,
         jsonb_build_object('data', f.data, 'attempt', f.attempt, 'sqlstate', f.sqlstate, 'size', f.size,
           'message', f.message, 'detail', f.detail)
    from pgunwind.data_failure f join runs r on r.run = f.run
  union all
  select e.at, 'endedSession', e.run, e.seq,
         jsonb_build_object('policy', e.policy, 'pid', e.pid, 'application', e.application, 'user', e.username,
           'client', e.client, 'sessionState', e.state)
    from pgunwind.ended_session e join runs r on r.run = e.run
  union all
  select t.at, 'restorePoint', t.run, null,
         jsonb_build_object('lsn', t.lsn, 'timeline', t.timeline, 'name', t.name)
    from pgunwind.restore_point t join runs r on r.run = t.run
)
select e.at, e.kind, e.run::text as run, e.seq, e.facts
  from entries e
 where not $3::boolean or e.kind in ('failure', 'dataFailure')
 order by e.at desc, e.seq desc nulls last
 limit $4
