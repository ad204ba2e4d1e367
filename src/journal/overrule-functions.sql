-- pg-unwind journal.overrule-functions. What an operator decides over the head of a check or a step. The decision, and what it
-- does, are durable together or not at all: nothing passes without a recorded decision, and none is recorded that did nothing.

-- Lock, guard, look: promises 1, 3 and 4 of a step hold for an operator too. The answer is the check's, in one snapshot: what is
-- decided is decided about that moment, and whatever comes after it is found by the next check. Null: decided already.
create or replace function pgunwind.begin_overrule(p jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform pgunwind.expect_version(p);
  perform pgunwind.take_locks((p ->> 'productClass')::integer, (p ->> 'productObject')::integer, false);
  -- An earlier attempt whose answer was lost: `at` is workflow time, and says the same moment.
  if exists (select from pgunwind.decision d
              where d.run = (p ->> 'run')::uuid and d.at = (p ->> 'at')::timestamptz and d.kind = p ->> 'kind') then
    return null;
  end if;
  perform pgunwind.hold_fence((p ->> 'token')::uuid);
  if not exists (select from pgunwind.run r where r.run = (p ->> 'run')::uuid and r.ended_at is null) then
    raise exception 'it holds no open run %', p ->> 'run' using errcode = 'UW006';
  end if;
  return pgunwind.check((p ->> 'run')::uuid, (p ->> 'seq')::integer, (p ->> 'productClass')::integer, (p ->> 'productObject')::integer);
end
$$;

-- `verdict` is the answer of begin_overrule in this transaction, `finding` its reason that is accepted.
create or replace function pgunwind.accept_dirty(p jsonb, verdict jsonb, finding jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  p_run uuid := p ->> 'run';
begin
  case finding ->> 'code'
    when 'changedByOthers' then
      -- What stood at the check's snapshot is where the next check begins, our own relations included.
      update pgunwind.step s
         set check_snapshot = (verdict ->> 'snapshot')::pg_snapshot,
             counts = array(select e::bigint from jsonb_array_elements_text(verdict -> 'counts') with ordinality x (e, ord) order by ord),
             delta = null,
             own_relations = '{}'
       where s.run = p_run and s.seq = (verdict ->> 'nextSeq')::integer - 1 and s.state = 'done';
      if not found then
        raise exception 'step % is not done', (verdict ->> 'nextSeq')::integer - 1 using errcode = 'UW008';
      end if;
    when 'invalidIndex' then
      update pgunwind.run r
         set base_invalid = r.base_invalid || array(
               select to_regclass(n)::oid from jsonb_array_elements_text(finding -> 'data') x (n) where to_regclass(n) is not null)
       where r.run = p_run;
    when 'dataNotAtEnd' then
      null; -- the row below is what the next look at the release goes by
    else
      raise exception '% cannot be accepted', finding ->> 'code' using errcode = 'UW006';
  end case;
  insert into pgunwind.accepted (run, leg, code, mark, data)
  values (p_run, (p ->> 'leg')::integer, finding ->> 'code', p ->> 'mark', finding -> 'data');
  perform pgunwind.note_decision(p);
end
$$;

create or replace function pgunwind.note_decision(p jsonb) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  insert into pgunwind.decision (run, plan, at, kind, decided_by, why, details)
  select (p ->> 'run')::uuid, p ->> 'plan', (p ->> 'at')::timestamptz, p ->> 'kind', p ->> 'by', p ->> 'why', p -> 'details';
end
$$;

-- The step is taken for done as the operator left it: what the catalogs are at the check's snapshot is where the next check begins.
-- `ledger`: record = write the product's row as if the step had succeeded; keep = it says so already.
create or replace function pgunwind.skip_step(p jsonb, verdict jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  p_run uuid := p ->> 'run';
  p_seq integer := p ->> 'seq';
  row pgunwind.step;
  wanted pgunwind.plan_step;
  wanted_after text[];
  state_now text;
  outcome jsonb;
begin
  wanted := pgunwind.planned_step(p_run, p_seq, p);
  if (verdict ->> 'nextSeq')::integer <> p_seq
     or p_seq > 1 and not exists (select from pgunwind.step s where s.run = p_run and s.seq = p_seq - 1 and s.state = 'done') then
    raise exception 'step % is not the next one', p_seq using errcode = 'UW008', detail = verdict ->> 'nextSeq';
  end if;
  select s.* into row
    from pgunwind.step s
   where s.state = 'started'
     and (s.run = p_run and s.seq = p_seq
          or s.run <> p_run and s.migration = wanted.migration and s.direction = wanted.direction and s.script = wanted.script);

  wanted_after := case when wanted.direction = 'up' then array['applied']
                       when p ->> 'ledger' = 'record' then array['absent']
                       else array['absent', 'none'] end;
  state_now := pgunwind.ledger_state(wanted.migration);
  if not state_now = any (wanted_after) then
    if p ->> 'ledger' <> 'record' then
      raise exception 'the ledger says %', state_now using errcode = 'UW011', detail = state_now;
    end if;
    if row.ledger_row is not null and state_now = wanted.direction || '-running' then
      perform pgunwind.ledger_end(wanted.migration, wanted.direction = 'up', row.started_at, row.ledger_row);
    end if;
    if not pgunwind.ledger_state(wanted.migration) = any (wanted_after) then
      perform pgunwind.ledger_end(wanted.migration, wanted.direction = 'up', clock_timestamp(), null);
    end if;
  end if;

  outcome := jsonb_build_object('how', 'skipped', 'by', p ->> 'by', 'why', p ->> 'why', 'ledger', p ->> 'ledger',
    'unit', coalesce(row.unit, 0), 'tookMs', 0, 'attempt', coalesce(row.attempt, 0));
  if row.run is null then
    insert into pgunwind.step (run, seq, leg, migration, direction, script, execution, state, attempt, token, pid, backend_start, xids)
    values (p_run, p_seq, wanted.leg, wanted.migration, wanted.direction, wanted.script, wanted.execution, 'started', 0,
            (p ->> 'token')::uuid, pg_backend_pid(), coalesce((select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a), 'epoch'),
            '{}');
  else
    update pgunwind.step s set run = p_run, seq = p_seq, leg = wanted.leg where s.run = row.run and s.seq = row.seq;
  end if;
  update pgunwind.step s
     set state = 'done',
         finished_at = clock_timestamp(),
         intent = null,
         token = (p ->> 'token')::uuid,
         xids = s.xids || pg_current_xact_id(),
         own_relations = '{}',
         check_snapshot = (verdict ->> 'snapshot')::pg_snapshot,
         check_counts = array(select e::bigint from jsonb_array_elements_text(verdict -> 'counts') with ordinality x (e, ord) order by ord),
         counts = array(select e::bigint from jsonb_array_elements_text(verdict -> 'counts') with ordinality x (e, ord) order by ord),
         delta = null,
         result = outcome
   where s.run = p_run and s.seq = p_seq;
  perform pgunwind.note_decision(p);
  return outcome;
end
$$;
