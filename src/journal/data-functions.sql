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

  insert into pgunwind.data_step as d (run, leg, id, act, state, cursor, attempt, token, pid, product_class, product_object)
  values (p_run, p_leg, p_id, p ->> 'act', 'started', pgunwind.earlier_cursor(open_run.plan, p_leg, p_id),
          (p ->> 'attempt')::integer, p_token, pg_backend_pid(), product_class, product_object)
  on conflict (run, leg, id) do update set attempt = excluded.attempt, token = excluded.token, pid = excluded.pid,
    product_class = excluded.product_class, product_object = excluded.product_object
  returning d.* into standing;
  if standing.act in ('forward', 'reverse') then
    perform pgunwind.ledger_data_begin(p_id, standing.act = 'reverse');
  end if;
  return jsonb_build_object('batches', standing.batches, 'rows', standing.rows, 'firstProgress', standing.first_progress,
    'cursor', standing.cursor, 'progress', standing.progress);
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

-- The guard of a batch of the product's own, in its transaction. The row stays locked until that ends. Its session goes by our name
-- meanwhile: one that hangs is ended by the next claim, as our own are.
create or replace function pgunwind.hold_batch(p_token uuid, p_id text) returns pgunwind.data_step
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  newest uuid;
  standing pgunwind.data_step;
  tries integer := 0;
begin
  select f.token into newest from pgunwind.fence f for share;
  if p_token is null or newest is distinct from p_token then
    raise exception 'this call is over: its token is not that of the newest claim'
      using errcode = 'UW005', hint = 'Roll back, and end without doing anything more.';
  end if;
  select d.* into standing from pgunwind.data_step d
    join pgunwind.fence f on f.run = d.run
   where d.id = p_id and d.state = 'started'
     for update of d;
  if not found then
    raise exception 'data migration % is not under way', p_id
      using errcode = 'UW006', hint = 'Its id and the token are those of the call''s input. Roll back, and end.';
  end if;
  -- A commit lets go of its rows a moment before its advisory locks: an attempt that has waited for ours would come too early.
  while tries < 20
    and not (pg_try_advisory_xact_lock(1885828462, 0)
             and pg_try_advisory_xact_lock(standing.product_class, standing.product_object)) loop
    perform pg_sleep(0.005);
    tries := tries + 1;
  end loop;
  perform pgunwind.take_locks(standing.product_class, standing.product_object, false);
  perform set_config('application_name', format('pgu:%s:0:0', p_token), true);
  return standing;
end
$$;

-- For a handler of the product's own, at the beginning of a batch's transaction: the cursor at which it begins. What a call was told is
-- older: an earlier attempt at the same call may have come further.
create or replace function pgunwind.batch_from(p_token uuid, p_id text) returns text
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select b.cursor from pgunwind.hold_batch(p_token, p_id) b
$$;

-- In the same transaction, before its commit: which makes the batch exactly once. Refuses a handler whose claim is over (UW005), and a
-- batch that begins where another has begun already (UW008): both must roll back. UW001: the product's own migrator is at work.
create or replace function pgunwind.batch_done(p_token uuid, p_id text, p_from text, p_cursor text, p_rows bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  standing pgunwind.data_step := pgunwind.hold_batch(p_token, p_id);
begin
  if standing.cursor is distinct from p_from then
    raise exception 'a batch that begins at this cursor has been done already'
      using errcode = 'UW008', hint = 'Roll back, and go on at the cursor that pgunwind.batch_from answers.';
  end if;
  if p_rows is null or p_rows < 0 then
    raise exception 'a batch of % rows', coalesce(p_rows::text, 'unknown') using errcode = 'UW006', hint = 'Count from 0.';
  end if;
  if length(p_cursor) > 2000 then
    raise exception 'a cursor of % characters', length(p_cursor)
      using errcode = 'UW006', hint = 'At most 2,000: it travels with each call, and stays in Temporal''s history.';
  end if;
  perform pgunwind.end_batch(standing.run, standing.leg, p_id, p_cursor, p_rows);
end
$$;

-- What a call of the product's own has answered. Where it records its batches itself, that record stands, and only the progress is
-- written; else the call is a batch, counted by the number that were before it, so that a repeat of this writes nothing.
create or replace function pgunwind.note_call(p_run uuid, p_leg integer, p_id text, p_token uuid, p_own boolean, p_batches bigint,
                                              p_cursor text, p_rows bigint, p_progress double precision) returns jsonb
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
  if not p_own and standing.batches = p_batches then
    perform pgunwind.end_batch(p_run, p_leg, p_id, p_cursor, p_rows);
  end if;
  if p_progress is not null then
    perform pgunwind.note_progress(p_run, p_leg, p_id, p_progress);
  end if;
  return (
    select jsonb_build_object('cursor', d.cursor, 'batches', d.batches, 'rows', d.rows)
      from pgunwind.data_step d
     where d.run = p_run and d.leg = p_leg and d.id = p_id);
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
  perform pgunwind.ledger_data_error(
    p_id, case when p_sqlstate is null then p_message else format('%s (SQLSTATE %s)', p_message, p_sqlstate) end);
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
