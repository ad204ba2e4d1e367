-- pg-unwind journal.data-functions. What a data migration says to the database. The SQLSTATEs are those of functions.sql.

-- One data migration of a run begins, or a later attempt goes on where the journal says. Holds both migration locks for the
-- session, until release_locks: between two batches nobody else migrates.
create or replace function pgunwind.begin_data(p jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  p_run uuid := p ->> 'run';
  p_leg integer := p ->> 'leg';
  p_id text := p ->> 'id';
  p_token uuid := p ->> 'token';
  product_class integer := p ->> 'productClass';
  product_object integer := p ->> 'productObject';
  open_run pgunwind.run;
  standing pgunwind.data_step;
  next_seq integer;
  verdict jsonb;
begin
  perform pgunwind.expect_version(p);
  perform set_config('application_name', p ->> 'application', false);
  perform pgunwind.take_locks(product_class, product_object, true); -- 1
  perform pgunwind.take_locks(product_class, product_object, false);

  select d.* into standing from pgunwind.data_step d where d.run = p_run and d.leg = p_leg and d.id = p_id; -- 2
  if standing.state = 'done' then
    raise exception 'this data migration is done' using errcode = 'UW002', detail = standing.result::text;
  end if;

  perform pgunwind.hold_fence(p_token); -- 3
  select r.* into open_run from pgunwind.run r where r.run = p_run;
  if open_run.run is null or open_run.ended_at is not null then
    raise exception 'it holds no open run %', p_run using errcode = 'UW006';
  end if;
  if not exists (select from pgunwind.plan_data q where q.plan = open_run.plan and q.leg = p_leg and q.id = p_id and q.act = p ->> 'act') then
    raise exception 'pgunwind.plan_data has no row for it' using errcode = 'UW006';
  end if;
  perform pgunwind.expect_steps_done(p_run, p_leg); -- 4: on the schema of this release, and no other
  next_seq := 1 + coalesce((select max(s.seq) from pgunwind.step s where s.run = p_run and s.state = 'done'), 0);
  verdict := pgunwind.check(p_run, next_seq, product_class, product_object);
  if not (verdict ->> 'clean')::boolean then
    raise exception 'the database is dirty' using errcode = 'UW004', detail = (verdict -> 'reasons')::text;
  end if;

  insert into pgunwind.data_step as d (run, leg, id, act, state, cursor, attempt, token, pid)
  values (p_run, p_leg, p_id, p ->> 'act', 'started', pgunwind.earlier_cursor(open_run.plan, p_leg, p_id),
          (p ->> 'attempt')::integer, p_token, pg_backend_pid())
  on conflict (run, leg, id) do update set attempt = excluded.attempt, token = excluded.token, pid = excluded.pid
  returning d.* into standing;
  if standing.act in ('forward', 'reverse') then
    perform pgunwind.ledger_data_begin(p_id, standing.act = 'reverse');
  end if;
  return jsonb_build_object('batches', standing.batches, 'rows', standing.rows, 'firstProgress', standing.first_progress);
end
$$;

-- Where the last run that moved it stopped half-way: a run that was ended, and whose queries walked the same way. What has been left
-- behind that place meanwhile is found by the next pass, for the progress is not at its end then.
create or replace function pgunwind.earlier_cursor(p_plan text, p_leg integer, p_id text) returns text
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select case when e.state = 'started' and e.act = w.act and e.batch = w.batch then e.cursor end
    from pgunwind.plan_data w
    cross join lateral (
      select d.state, d.act, d.cursor, q.batch
        from pgunwind.data_step d
        join pgunwind.run r on r.run = d.run
        join pgunwind.plan_data q on q.plan = r.plan and q.leg = d.leg and q.id = d.id
       where d.id = p_id
       order by d.started_at desc
       limit 1) e
   where w.plan = p_plan and w.leg = p_leg and w.id = p_id
$$;

-- All steps up to and including a leg stand in this journal: a failover may have taken back what the run has seen done.
create or replace function pgunwind.expect_steps_done(p_run uuid, p_leg integer) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if exists (
       select from pgunwind.plan_step q
         join pgunwind.run r on r.plan = q.plan and r.run = p_run
        where q.leg <= p_leg
          and not exists (select from pgunwind.step s where s.run = p_run and s.seq = q.seq and s.state = 'done')) then
    raise exception 'steps up to leg % are not done', p_leg using errcode = 'UW008';
  end if;
end
$$;

-- The guard of one batch, in its transaction; answers where it begins. The row stays locked until the batch ends, so that of two
-- that began at the same place the second begins behind the first.
create or replace function pgunwind.begin_batch(p_run uuid, p_leg integer, p_id text, p_token uuid) returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  standing pgunwind.data_step;
begin
  perform pgunwind.hold_fence(p_token);
  select d.* into standing from pgunwind.data_step d
   where d.run = p_run and d.leg = p_leg and d.id = p_id and d.state = 'started'
     for update;
  if not found then
    raise exception 'data migration % of leg % is not begun', p_id, p_leg using errcode = 'UW006';
  end if;
  return standing.cursor;
end
$$;

create or replace function pgunwind.end_batch(p_run uuid, p_leg integer, p_id text, p_cursor text, p_rows bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update pgunwind.data_step d
     set cursor = p_cursor, rows = d.rows + p_rows, batches = d.batches + 1, batch_at = clock_timestamp()
   where d.run = p_run and d.leg = p_leg and d.id = p_id and d.state = 'started';
  if not found then
    raise exception 'the batch ended its transaction' using errcode = 'UW007';
  end if;
end
$$;

-- How many sessions wait for a lock that this transaction holds. Asked before the commit, when it holds all of them.
create or replace function pgunwind.waiting_behind() returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select count(distinct l.pid) from pg_locks l where not l.granted and pg_backend_pid() = any (pg_blocking_pids(l.pid)));
end
$$;

-- For a handler of the product's own, inside the transaction of its batch, which it makes exactly once: refuses a handler whose claim is
-- over (UW005), and a batch that begins where another has begun already (UW008: its transaction must roll back).
create or replace function pgunwind.batch_done(p_token uuid, p_id text, p_from text, p_cursor text, p_rows bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  standing pgunwind.data_step;
begin
  perform pgunwind.hold_fence(p_token);
  select d.* into standing from pgunwind.data_step d
    join pgunwind.fence f on f.run = d.run
   where d.id = p_id and d.state = 'started'
     for update of d;
  if not found then
    raise exception 'data migration % is not begun', p_id using errcode = 'UW006';
  end if;
  if standing.cursor is distinct from p_from then
    raise exception 'a batch that begins there has been done' using errcode = 'UW008';
  end if;
  perform pgunwind.end_batch(standing.run, standing.leg, p_id, p_cursor, p_rows);
end
$$;

create or replace function pgunwind.note_progress(p_run uuid, p_leg integer, p_id text, p_progress double precision) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update pgunwind.data_step d
     set progress = p_progress, first_progress = coalesce(d.first_progress, p_progress)
   where d.run = p_run and d.leg = p_leg and d.id = p_id and d.state = 'started';
  if found then
    perform pgunwind.ledger_data_progress(p_id, p_progress);
  end if;
end
$$;

-- A failed batch, for people; and where the product looks for it.
create or replace function pgunwind.note_failure(p_run uuid, p_leg integer, p_id text, p_attempt integer, p_size integer,
                                                 p_sqlstate text, p_message text, p_detail text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  insert into pgunwind.data_failure (run, leg, data, attempt, cursor, size, sqlstate, message, detail)
  select p_run, p_leg, p_id, p_attempt, d.cursor, p_size, p_sqlstate, p_message, p_detail
    from pgunwind.data_step d
   where d.run = p_run and d.leg = p_leg and d.id = p_id;
  perform pgunwind.ledger_data_error(p_id, format('%s (SQLSTATE %s)', p_message, p_sqlstate));
end
$$;

-- What a run that is over leaves behind: the product must not go on moving back what nobody wants moved back any more.
create or replace function pgunwind.leave_data(p_run uuid) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform pgunwind.ledger_data_end(d.id, d.progress)
     from pgunwind.data_step d
    where d.run = p_run and d.state = 'started' and d.act = 'reverse';
end
$$;

create or replace function pgunwind.end_data(p_run uuid, p_leg integer, p_id text, p_token uuid, p_progress double precision) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  outcome jsonb;
  moved boolean;
begin
  perform pgunwind.hold_fence(p_token);
  update pgunwind.data_step d
     set state = 'done', progress = p_progress, first_progress = coalesce(d.first_progress, p_progress),
         finished_at = clock_timestamp(),
         result = jsonb_build_object('batches', d.batches, 'rows', d.rows, 'attempt', d.attempt, 'progress', p_progress,
           'tookMs', extract(epoch from clock_timestamp() - d.started_at) * 1000)
   where d.run = p_run and d.leg = p_leg and d.id = p_id and d.state = 'started'
  returning d.result, d.act in ('forward', 'reverse') into outcome, moved;
  if not found then
    raise exception 'data migration % of leg % is not begun', p_id, p_leg using errcode = 'UW006';
  end if;
  if moved then
    perform pgunwind.ledger_data_end(p_id, p_progress);
  end if;
  return outcome;
end
$$;
