-- pg-unwind journal.functions. What a step says to the database, in as few round trips as it can.
-- The ledger's functions (ledger_state, ledger_begin, ledger_end, ledger_applied, ledger_open, ledger_data_…) come from src/journal/ledgers.
-- All of them are volatile except check(): in a volatile function each statement sees what was committed before it began,
-- so that the look happens after the lock.

-- SQLSTATEs of our own, one per answer; src/journal/answers.ts has the same list.
--   UW001 busy · UW002 already done · UW003 begun by an earlier attempt · UW004 dirty · UW005 stale attempt
--   UW006 journal incomplete · UW007 the script ended its transaction · UW008 the journal is behind · UW009 claimed by another workflow
--   UW010 the journal has another version than the worker · UW011 the ledger does not say what it must after a skipped step

create or replace function pgunwind.catalogs() returns oid[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select array[
    'pg_class'::regclass, 'pg_attribute'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
    'pg_index'::regclass, 'pg_proc'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass,
    'pg_enum'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass, 'pg_sequence'::regclass,
    'pg_extension'::regclass, 'pg_inherits'::regclass, 'pg_partitioned_table'::regclass,
    'pg_statistic_ext'::regclass, 'pg_range'::regclass, 'pg_event_trigger'::regclass, 'pg_publication'::regclass
  ]::oid[]
$$;

-- The limit below which a row's age() makes it younger than `since`. Wraparound stays out: older rows are never looked at,
-- and a young row's 64-bit id is rebuilt from the distance (age() counts from the same next id in a whole transaction).
create or replace function pgunwind.young_limit(since pg_snapshot) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return case when since is null then -2000000000 else age(pg_snapshot_xmin(since)::xid) end;
end
$$;

-- Rows of each catalog without those of temporary objects, and how many of them neither `since` nor our own transactions
-- explain. Objects below oid 12000 are pinned since PostgreSQL 14: they cannot be dropped, and nobody migrates them; leaving
-- them out saves a sixth (2.9 instead of 3.4 ms at 1,800 relations, side by side). Counting the strangers here saves each
-- check the second look of foreign_rows, 1.8 ms there, for our own rows are always young. A whole counted check then takes
-- 1.7 ms at 780 relations and 3.1 ms at 1,800, over the bare round trip's 0.1.
-- The generic plan at once: plpgsql would plan these twenty arms anew for its first five calls in each session.
create or replace function pgunwind.count_catalogs(since pg_snapshot, ours xid8[], out counts bigint[], out strangers bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  temp_relations oid[];
  temp_namespaces oid[];
  temp_types oid[] := '{}';
  no_temp boolean;
  young integer := pgunwind.young_limit(since);
  base bigint := pg_snapshot_xmin(since)::text::bigint + young;
  own xid[] := array(select x.id::xid from unnest(ours) x (id));
begin
  select coalesce(array_agg(oid), '{}') into temp_relations from pg_class where relpersistence = 't';
  select coalesce(array_agg(oid), '{}') into temp_namespaces from pg_namespace where nspname ~ '^pg_(toast_)?temp_';
  if cardinality(temp_namespaces) > 0 then
    select coalesce(array_agg(oid), '{}') into temp_types from pg_type where typnamespace = any (temp_namespaces);
  end if;
  -- A plain flag first: an array, even an empty one, costs each of 20,000 rows of pg_attribute a call.
  no_temp := cardinality(temp_relations) + cardinality(temp_namespaces) = 0;
  select array_agg(c.n order by c.ord), sum(c.y) into counts, strangers
  from (
    select 1 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_class where oid >= 12000 and relpersistence <> 't'
    union all select 2 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_attribute where attrelid >= 12000 and (no_temp or attrelid <> all (temp_relations))
    union all select 3 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_attrdef where adrelid >= 12000 and (no_temp or adrelid <> all (temp_relations))
    union all select 4 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_constraint where oid >= 12000 and (no_temp or connamespace <> all (temp_namespaces))
    union all select 5 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_index where indrelid >= 12000 and (no_temp or indrelid <> all (temp_relations))
    union all select 6 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_proc where oid >= 12000 and (no_temp or pronamespace <> all (temp_namespaces))
    union all select 7 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_trigger where tgrelid >= 12000 and (no_temp or tgrelid <> all (temp_relations))
    union all select 8 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_policy where polrelid >= 12000 and (no_temp or polrelid <> all (temp_relations))
    union all select 9 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_rewrite where ev_class >= 12000 and (no_temp or ev_class <> all (temp_relations))
    union all select 10 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_enum where enumtypid >= 12000 and (no_temp or enumtypid <> all (temp_types))
    union all select 11 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_type where oid >= 12000 and (no_temp or typnamespace <> all (temp_namespaces))
    union all select 12 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_namespace where oid >= 12000 and (no_temp or oid <> all (temp_namespaces))
    union all select 13 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_sequence where seqrelid >= 12000 and (no_temp or seqrelid <> all (temp_relations))
    union all select 14 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_extension where oid >= 12000
    union all select 15 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_inherits where inhrelid >= 12000 and (no_temp or inhrelid <> all (temp_relations))
    union all select 16 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_partitioned_table where partrelid >= 12000 and (no_temp or partrelid <> all (temp_relations))
    union all select 17 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_statistic_ext where oid >= 12000 and (no_temp or stxrelid <> all (temp_relations))
    union all select 18 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_range where rngtypid >= 12000 and (no_temp or rngtypid <> all (temp_types))
    union all select 19 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_event_trigger where oid >= 12000
    union all select 20 as ord, count(*) as n, count(*) filter (where age(xmin) <= young and age(xmin) >= -1000000000 and xmin <> all (own)
      and not pg_visible_in_snapshot((base - age(xmin))::text::xid8, since)) as y
      from pg_publication where oid >= 12000
  ) c;
end
$$;

-- The young rows that neither the snapshot nor our own transactions explain. REFRESH MATERIALIZED VIEW gives the view
-- and its indexes a new pg_class row each, and puts a new TOAST table in the place of the old: those are counted apart.
-- `objects` are the first twenty; `mark` tells all of them, and each later version of one, from any others.
create or replace function pgunwind.foreign_rows(since pg_snapshot, ours xid8[], own_relations oid[], out objects jsonb, out refreshed bigint, out mark text)
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  temp_relations oid[];
  temp_namespaces oid[];
  temp_types oid[] := '{}';
  young integer := pgunwind.young_limit(since);
  base bigint := pg_snapshot_xmin(since)::text::bigint + young;
begin
  select coalesce(array_agg(oid), '{}') into temp_relations from pg_class where relpersistence = 't';
  select coalesce(array_agg(oid), '{}') into temp_namespaces from pg_namespace where nspname ~ '^pg_(toast_)?temp_';
  if cardinality(temp_namespaces) > 0 then
    select coalesce(array_agg(oid), '{}') into temp_types from pg_type where typnamespace = any (temp_namespaces);
  end if;
  with entry (ord, catalog, oid, xmin, relation, name, relkind) as (
    select 1, 'pg_class', oid, xmin, oid, relname::text, relkind from pg_class
     where age(xmin) between -1000000000 and young and oid >= 12000 and relpersistence <> 't'
    union all select 2, 'pg_attribute', attrelid, xmin, attrelid, attname::text, null from pg_attribute
     where age(xmin) between -1000000000 and young and attnum > 0 and attrelid >= 12000 and attrelid <> all (temp_relations)
    union all select 3, 'pg_attrdef', oid, xmin, adrelid, null, null from pg_attrdef
     where age(xmin) between -1000000000 and young and adrelid >= 12000 and adrelid <> all (temp_relations)
    union all select 4, 'pg_constraint', oid, xmin, conrelid, conname::text, null from pg_constraint
     where age(xmin) between -1000000000 and young and oid >= 12000 and connamespace <> all (temp_namespaces)
    union all select 5, 'pg_index', indexrelid, xmin, indexrelid, null, null from pg_index
     where age(xmin) between -1000000000 and young and indrelid >= 12000 and indrelid <> all (temp_relations)
    union all select 6, 'pg_proc', oid, xmin, 0, proname::text, null from pg_proc
     where age(xmin) between -1000000000 and young and oid >= 12000 and pronamespace <> all (temp_namespaces)
    union all select 7, 'pg_trigger', oid, xmin, tgrelid, tgname::text, null from pg_trigger
     where age(xmin) between -1000000000 and young and tgrelid >= 12000 and tgrelid <> all (temp_relations)
    union all select 8, 'pg_policy', oid, xmin, polrelid, polname::text, null from pg_policy
     where age(xmin) between -1000000000 and young and polrelid >= 12000 and polrelid <> all (temp_relations)
    union all select 9, 'pg_rewrite', oid, xmin, ev_class, rulename::text, null from pg_rewrite
     where age(xmin) between -1000000000 and young and ev_class >= 12000 and ev_class <> all (temp_relations)
    union all select 10, 'pg_enum', oid, xmin, 0, enumlabel::text, null from pg_enum
     where age(xmin) between -1000000000 and young and enumtypid >= 12000 and enumtypid <> all (temp_types)
    union all select 11, 'pg_type', oid, xmin, typrelid, typname::text, null from pg_type
     where age(xmin) between -1000000000 and young and oid >= 12000 and typnamespace <> all (temp_namespaces)
    union all select 12, 'pg_namespace', oid, xmin, 0, nspname::text, null from pg_namespace
     where age(xmin) between -1000000000 and young and oid >= 12000 and oid <> all (temp_namespaces)
    union all select 13, 'pg_sequence', seqrelid, xmin, seqrelid, null, null from pg_sequence
     where age(xmin) between -1000000000 and young and seqrelid >= 12000 and seqrelid <> all (temp_relations)
    union all select 14, 'pg_extension', oid, xmin, 0, extname::text, null from pg_extension
     where age(xmin) between -1000000000 and young and oid >= 12000
    union all select 15, 'pg_inherits', inhrelid, xmin, inhrelid, null, null from pg_inherits
     where age(xmin) between -1000000000 and young and inhrelid >= 12000 and inhrelid <> all (temp_relations)
    union all select 16, 'pg_partitioned_table', partrelid, xmin, partrelid, null, null from pg_partitioned_table
     where age(xmin) between -1000000000 and young and partrelid >= 12000 and partrelid <> all (temp_relations)
    union all select 17, 'pg_statistic_ext', oid, xmin, stxrelid, stxname::text, null from pg_statistic_ext
     where age(xmin) between -1000000000 and young and oid >= 12000 and stxrelid <> all (temp_relations)
    union all select 18, 'pg_range', rngtypid, xmin, 0, null, null from pg_range
     where age(xmin) between -1000000000 and young and rngtypid >= 12000 and rngtypid <> all (temp_types)
    union all select 19, 'pg_event_trigger', oid, xmin, 0, evtname::text, null from pg_event_trigger
     where age(xmin) between -1000000000 and young and oid >= 12000
    union all select 20, 'pg_publication', oid, xmin, 0, pubname::text, null from pg_publication
     where age(xmin) between -1000000000 and young and oid >= 12000
  ), strange as (
    select e.*
      from entry e
     where not pg_visible_in_snapshot((base - age(e.xmin))::text::xid8, since)
       and (base - age(e.xmin))::text::xid8 <> all (ours)
       and e.relation <> all (own_relations)
  ), judged as (
    select s.*,
           s.ord = 1 and s.relkind = 'm'
             or exists (
               select from pg_class r
                 left join pg_index i on i.indexrelid = r.oid
                 join pg_class v on v.relkind = 'm' and (v.oid = i.indrelid or v.reltoastrelid in (r.oid, i.indrelid))
                where r.oid = s.relation and (s.ord = 1 or v.reltoastrelid in (r.oid, i.indrelid))) as is_refresh
      from strange s
  )
  select (select jsonb_agg(jsonb_build_object(
                   'catalog', f.catalog,
                   'name', f.name,
                   'relation', case when f.relation <> 0 then coalesce(f.relation::regclass::text, f.relation::text) end))
            from (select * from judged where not is_refresh order by ord, relation, name limit 20) f),
         (select count(*) from judged where is_refresh),
         (select md5(string_agg(concat_ws(' ', ord, oid, relation, name, xmin), ',' order by ord, oid, relation, name, xmin::text))
            from judged where not is_refresh)
    into objects, refreshed, mark; -- `found` would be plpgsql's own FOUND
end
$$;

-- Rows inserted minus rows deleted in each catalog by the current session since it last reported its statistics; only the
-- difference between two calls in one transaction means anything.
-- Null where the server does not count (track_counts, a superuser's setting): then the end of the step counts afresh.
create or replace function pgunwind.catalog_changes() returns bigint[]
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if not current_setting('track_counts')::boolean then
    return null;
  end if;
  return (
    select array_agg(pg_stat_get_xact_tuples_inserted(c.oid) - pg_stat_get_xact_tuples_deleted(c.oid) order by c.ord)
      from unnest(pgunwind.catalogs()) with ordinality as c (oid, ord));
end
$$;

-- plpgsql, like whatever a step calls: a function in SQL is planned anew at each call (0.2 ms here).
create or replace function pgunwind.lock_holders(p_product_class integer, p_product_object integer) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
             'pid', l.pid,
             'backendStart', a.backend_start,
             'application', a.application_name,
             'user', a.usename,
             'state', a.state,
             'since', a.xact_start,
             'ours', l.classid = 1885828462,
             'issued', pgunwind.is_issued(a.application_name),
             'client', host(a.client_addr)) order by l.pid), '[]')
      from pg_locks l
      left join pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'advisory'
       and l.granted
       and l.pid <> pg_backend_pid()
       and l.database = (select d.oid from pg_database d where d.datname = current_database())
       and l.objsubid = 2
       and ((l.classid = 1885828462 and l.objid = 0)
            or (l.classid::bigint = p_product_class::bigint & 4294967295 and l.objid::bigint = p_product_object::bigint & 4294967295)));
end
$$;

-- Does a session's name (`pgu:<token>:<attempt>:<seq>`) carry a token that this database issued? No other session is ever ended.
create or replace function pgunwind.is_issued(application text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return application like 'pgu:%'
     and exists (select from pgunwind.issued i where i.token::text = split_part(application, ':', 2));
end
$$;

-- Who holds, or stands in the queue before us for, the lock that this process waits for. Only while it waits: pg_blocking_pids
-- stops the lock table for a moment. Never a query's text. What a role may not see of another's session is null.
create or replace function pgunwind.blockers(waiter integer) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  pids integer[] := pg_blocking_pids(waiter);
  here oid := (select d.oid from pg_database d where d.datname = current_database());
begin
  return jsonb_build_object(
    'lock', (
      select jsonb_build_object('type', l.locktype, 'mode', l.mode,
                                'relation', case when l.database = here then l.relation::regclass::text end)
        from pg_locks l
       where l.pid = waiter and not l.granted
       limit 1),
    'sessions', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'pid', a.pid,
               'backendStart', a.backend_start,
               'application', a.application_name,
               'user', a.usename,
               'client', host(a.client_addr),
               'state', a.state,
               'since', a.xact_start,
               'kind', a.backend_type,
               'issued', pgunwind.is_issued(a.application_name)
                         or a.datname <> current_database() and a.application_name like 'pgu:%',
               'superuser', exists (select from pg_roles r where r.oid = a.usesysid and r.rolsuper),
               'walsender', exists (select from pg_stat_replication v where v.pid = a.pid),
               'wraparound', coalesce(a.query like 'autovacuum:%(to prevent wraparound)', false)) order by a.xact_start, a.pid), '[]')
        from pg_stat_activity a
       where a.pid = any (pids)),
    'prepared', (
      -- Process 0 stands for prepared transactions; which of them hold what we want, the lock table tells: their locks have the
      -- virtual id of a session that is gone, and so has the lock on their own transaction id.
      select coalesce(jsonb_agg(distinct x.gid), '[]')
        from pg_locks w
        join pg_locks h on h.granted and h.pid is null and h.locktype = w.locktype
                       and h.database is not distinct from w.database and h.relation is not distinct from w.relation
                       and h.transactionid is not distinct from w.transactionid
        join pg_locks t on t.granted and t.pid is null and t.locktype = 'transactionid' and t.virtualtransaction = h.virtualtransaction
        join pg_prepared_xacts x on x.transaction = t.transactionid
       where 0 = any (pids) and w.pid = waiter and not w.granted));
end
$$;

-- Is the database what the journal says it must be? One statement, one snapshot, no writes.
-- `asked_seq` is the step that the caller takes for the next one; the answer's `nextSeq` is the one that is: after a reset,
-- Temporal's history is behind the journal. The answer's `snapshot` and `counts` go into that step's row.
create or replace function pgunwind.check(p_run uuid, asked_seq integer, product_class integer, product_object integer)
returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  began timestamptz := clock_timestamp();
  next_seq integer := asked_seq;
  run pgunwind.run;
  previous pgunwind.step;
  upcoming pgunwind.step;
  wanted pgunwind.plan_step;
  reasons jsonb := '[]';
  warnings jsonb := '[]';
  how text;
  now_snapshot pg_snapshot := pg_current_snapshot();
  counted record;
  strangers record;
  mark text;
  now_counts bigint[];
  expected bigint[];
  items jsonb;
  missing text[];
  unexpected text[];
  lost jsonb;
  names text[];
  number bigint;
  long_ones bigint;
  timeline integer;
  seen integer;
  identifier text;
begin
  if pg_is_in_recovery() then
    return jsonb_build_object('clean', false, 'how', 'baseline', 'warnings', warnings, 'tookMs', 0,
      'reasons', jsonb_build_array(jsonb_build_object('code', 'standby', 'data', jsonb_build_object())));
  end if;

  select * into run from pgunwind.run r where r.run = p_run;
  if run.run is null then
    raise exception 'the journal holds no run %', p_run using errcode = 'UW006';
  end if;
  select * into upcoming from pgunwind.step s where s.run = p_run and s.seq = next_seq;
  if upcoming.state = 'done' then
    select max(s.seq) + 1 into next_seq from pgunwind.step s where s.run = p_run and s.state = 'done';
    select * into upcoming from pgunwind.step s where s.run = p_run and s.seq = next_seq;
  end if;
  select * into wanted from pgunwind.plan_step p where p.plan = run.plan and p.seq = next_seq;
  select * into previous from pgunwind.step s where s.run = p_run and s.seq = next_seq - 1;

  -- The server: the same cluster and database, no older timeline.
  identifier := (select c.system_identifier::text from pg_control_system() c);
  timeline := ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer;
  select max(v.timeline) into seen from pgunwind.server v where v.system_identifier = identifier;
  if seen is null and exists (select from pgunwind.server) then
    reasons := reasons || jsonb_build_object('code', 'wrongServer', 'data', jsonb_build_object('kind', 'identifier', 'found', identifier,
      'seen', (select string_agg(distinct v.system_identifier, ', ') from pgunwind.server v)));
  elsif seen > timeline then
    reasons := reasons || jsonb_build_object('code', 'wrongServer', 'data', jsonb_build_object('kind', 'timeline', 'found', timeline, 'seen', seen));
  elsif not exists (select from pgunwind.server v where v.system_identifier = identifier
                     and v.database = (select d.oid from pg_database d where d.datname = current_database()))
        and exists (select from pgunwind.server) then
    reasons := reasons || jsonb_build_object('code', 'wrongServer', 'data', jsonb_build_object('kind', 'database',
      'found', (select d.oid from pg_database d where d.datname = current_database()),
      'seen', (select string_agg(distinct v.database::text, ', ') from pgunwind.server v where v.system_identifier = identifier)));
  end if;

  -- Journal: a step that began and is not the one that comes next.
  select jsonb_agg(jsonb_build_object('run', s.run, 'seq', s.seq, 'migration', s.migration, 'direction', s.direction, 'unit', s.unit))
    into items
    from pgunwind.step s
    join pgunwind.run r on r.run = s.run
   where s.state = 'started'
     and not (s.run = p_run and s.seq = next_seq)
     and not (s.run <> p_run and s.migration = wanted.migration and s.direction = wanted.direction and s.script = wanted.script);
  if items is not null then
    reasons := reasons || jsonb_build_object('code', 'unfinishedStep', 'data', items);
  end if;
  -- A missing predecessor is no dirt: after a failover that lost commits, journal, ledger and schema are behind together.
  -- begin_step says so (UW008), and the run goes back to what the journal says.

  -- Ledger: nothing running or failed but our own step, and exactly the ids that base and done steps give.
  select jsonb_agg(jsonb_build_object('migration', o.migration, 'state', o.state, 'since', o.started_at))
    into items
    from pgunwind.ledger_open() o
   where not exists (
     select from pgunwind.step s
      where s.state = 'started' and s.migration = o.migration
        and o.state = s.direction || '-running'
        and (s.run = p_run and s.seq = next_seq
             or s.migration = wanted.migration and s.direction = wanted.direction and s.script = wanted.script));
  if items is not null then
    reasons := reasons || (
      select jsonb_agg(jsonb_build_object('code', g.code, 'data', g.those))
        from (select case when e ->> 'state' like '%-failed' then 'failedLedgerRow' else 'unfinishedLedgerRow' end as code,
                     jsonb_agg(e) as those
                from jsonb_array_elements(items) e
               group by 1) g);
  end if;
  with done as (
    select s.migration from pgunwind.step s where s.run = p_run and s.state = 'done'
  ), under_way as (
    -- Half done, by this run or by one whose step the next one takes up: neither applied nor absent, whatever the base says.
    select s.migration
      from pgunwind.step s
     where s.state = 'started'
       and (s.run = p_run and s.seq = next_seq
            or s.migration = wanted.migration and s.direction = wanted.direction and s.script = wanted.script)
    union
    -- Named above already, as unfinished or failed.
    select e ->> 'migration' from jsonb_array_elements(items) e
  ), wanted_now as (
    select b.id from unnest(run.base) b (id) where run.direction = 'up' or b.id not in (select d.migration from done d)
    union
    select d.migration from done d where run.direction = 'up'
  ), there as (
    select a.id from unnest(pgunwind.ledger_applied()) a (id)
  )
  select array(select w.id from wanted_now w except select t.id from there t except select u.migration from under_way u order by 1),
         array(select t.id from there t except select w.id from wanted_now w except select u.migration from under_way u order by 1)
    into missing, unexpected;
  -- Steps on the way here that the ledger has and the journal has not: their rows were deleted, or somebody did them by hand.
  -- (After a failover that lost commits both are behind, and agree.)
  select jsonb_agg(jsonb_build_object('seq', p.seq, 'migration', p.migration) order by p.seq)
    into lost
    from pgunwind.plan_step p
   where p.plan = run.plan and p.seq < next_seq and p.migration = any (missing || unexpected)
     and not exists (select from pgunwind.step s where s.run = p_run and s.seq = p.seq);
  if lost is not null then
    missing := array(select m from unnest(missing) m except select l ->> 'migration' from jsonb_array_elements(lost) l order by 1);
    unexpected := array(select m from unnest(unexpected) m except select l ->> 'migration' from jsonb_array_elements(lost) l order by 1);
  end if;
  if cardinality(missing) > 0 or cardinality(unexpected) > 0 or lost is not null then
    reasons := reasons || jsonb_build_object('code', 'unexpectedAppliedSet',
      'data', jsonb_build_object('missing', to_jsonb(missing[1:20]), 'unexpected', to_jsonb(unexpected[1:20]),
                                 'missingCount', cardinality(missing), 'unexpectedCount', cardinality(unexpected),
                                 'undone', array(select m from unnest(unexpected[1:20]) m where m = any (run.base)),
                                 'unrecorded', lost,
                                 'halfDone', case when upcoming.state = 'started' then upcoming.migration end));
  end if;

  -- Sessions: a lock that is not ours, an attempt that still lives, an index being built. An attempt of this run at the very
  -- step that comes next is that step's business: it ends the session, or finds its work done.
  items := pgunwind.lock_holders(product_class, product_object);
  if jsonb_array_length(items) > 0 then
    select coalesce(jsonb_agg(h), '[]')
      into items
      from jsonb_array_elements(items) h
     where split_part(h ->> 'application', ':', 4) is distinct from next_seq::text
        or not exists (
          select from pgunwind.issued i
           where i.token::text = split_part(h ->> 'application', ':', 2) and i.run = p_run);
  end if;
  if jsonb_array_length(items) > 0 then
    if exists (select from jsonb_array_elements(items) h where (h ->> 'issued')::boolean) then
      reasons := reasons || jsonb_build_object('code', 'earlierAttemptAlive', 'data', items);
    else
      reasons := reasons || jsonb_build_object('code', 'lockHeld', 'data', items);
    end if;
  end if;
  if upcoming.intent is null then
    select jsonb_agg(jsonb_build_object('pid', b.pid, 'relation', b.relid::regclass::text, 'phase', b.phase))
      into items
      from pg_stat_progress_create_index b
     where b.datname = current_database() and b.pid <> pg_backend_pid();
    if items is not null then
      reasons := reasons || jsonb_build_object('code', 'indexBuildRunning', 'data', items);
    end if;
    select array_agg(x.indexrelid::regclass::text order by 1)
      into names
      from pg_index x
      join pg_class c on c.oid = x.indexrelid
     where not x.indisvalid
       and c.relkind = 'i'
       and c.relpersistence <> 't'
       and x.indexrelid <> all (run.base_invalid); -- relkind I (a partitioned table's) may rightly be invalid
    if names is not null then
      reasons := reasons || jsonb_build_object('code', 'invalidIndex', 'data', to_jsonb(names));
    end if;
  end if;

  -- Catalogs: changed by more than our own transactions?
  if upcoming.state = 'started' then
    how := 'baseline'; -- an earlier attempt of this very step changed them in part; its end counts afresh
  elsif previous.state = 'done' and cardinality(previous.xids) = 1 and previous.counts is null and previous.delta is not null
     and pg_snapshot_xmin(previous.check_snapshot) = previous.xids[1]
     and pg_snapshot_xmax(previous.check_snapshot) = previous.xids[1]
     and age(previous.xids[1]::xid) = 1 then
    how := 'quiet';
    select array_agg(c.n + d.n order by c.ord)
      into now_counts
      from unnest(previous.check_counts) with ordinality c (n, ord)
      join unnest(previous.delta) with ordinality d (n, ord) using (ord);
  elsif previous.state = 'done' and previous.check_snapshot is not null
        and cardinality(previous.check_counts) = cardinality(pgunwind.catalogs()) then
    how := 'counted';
  else
    how := 'baseline';
  end if;
  if how <> 'quiet' then
    select * into counted
      from pgunwind.count_catalogs(case when how = 'counted' then previous.check_snapshot end, previous.xids);
    now_counts := counted.counts;
    if how = 'counted' then
      if previous.counts is not null then
        expected := previous.counts;
      else
        select array_agg(c.n + d.n order by c.ord)
          into expected
          from unnest(previous.check_counts) with ordinality c (n, ord)
          join unnest(previous.delta) with ordinality d (n, ord) using (ord);
      end if;
      if counted.strangers > 0 then
        select * into strangers from pgunwind.foreign_rows(previous.check_snapshot, previous.xids, previous.own_relations);
        items := strangers.objects;
        mark := strangers.mark;
        if strangers.refreshed > 0 then
          warnings := warnings || jsonb_build_object('code', 'refreshedView', 'data', strangers.refreshed);
        end if;
      else
        items := null;
      end if;
      if items is not null or now_counts <> expected then
        reasons := reasons || jsonb_build_object('code', 'changedByOthers', 'data', jsonb_build_object(
          'rows', coalesce(items, '[]'),
          'mark', mark,
          'counts', (select coalesce(jsonb_agg(jsonb_build_object('catalog', k.oid::regclass::text, 'expected', e.n, 'found', f.n)), '[]')
                       from unnest(pgunwind.catalogs()) with ordinality k (oid, ord)
                       join unnest(expected) with ordinality e (n, ord) using (ord)
                       join unnest(now_counts) with ordinality f (n, ord) using (ord)
                      where e.n <> f.n)));
      end if;
    end if;
  end if;

  -- Warnings.
  select count(*) filter (where a.backend_type = 'client backend' and a.application_name <> 'pg-unwind'
                            and a.application_name not like 'pgu:%'),
         count(*) filter (where a.xact_start < began - interval '5 minutes')
    into number, long_ones
    from pg_stat_activity a
   where a.datname = current_database() and a.pid <> pg_backend_pid();
  if number > 0 then
    warnings := warnings || jsonb_build_object('code', 'otherSessions', 'data', number);
  end if;
  if long_ones > 0 then
    warnings := warnings || jsonb_build_object('code', 'longTransaction', 'data', long_ones);
  end if;
  -- Null for a role that may not see it (pg_monitor may).
  select max(extract(epoch from l.replay_lag))::bigint into number from pg_stat_replication l;
  if number > 10 then
    warnings := warnings || jsonb_build_object('code', 'replicationLag', 'data', number);
  end if;
  select count(*) into number from pg_prepared_xacts x where x.database = current_database();
  if number > 0 then
    warnings := warnings || jsonb_build_object('code', 'preparedTransaction', 'data', number);
  end if;
  if next_seq = 1 and exists (select from pg_publication p where p.puballtables) then
    warnings := warnings || jsonb_build_object('code', 'publicationForAllTables', 'data', null);
  end if;

  return jsonb_build_object(
    'clean', jsonb_array_length(reasons) = 0,
    'how', how,
    'reasons', reasons,
    'warnings', warnings,
    'snapshot', now_snapshot::text,
    'counts', to_jsonb(now_counts),
    'at', clock_timestamp(),
    'nextSeq', next_seq,
    'timeline', timeline,
    'tookMs', round(extract(epoch from clock_timestamp() - began) * 1000, 3));
end
$$;

-- Promise 1 and 4: one writer. Both keys, never waiting here: whoever waits inside the server holds a snapshot that a
-- CREATE INDEX CONCURRENTLY elsewhere waits for. Busy: UW001 with the holders.
create or replace function pgunwind.take_locks(product_class integer, product_object integer, for_session boolean) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  taken boolean;
begin
  if for_session then
    taken := pg_try_advisory_lock(1885828462, 0);
    if taken and not pg_try_advisory_lock(product_class, product_object) then
      perform pg_advisory_unlock(1885828462, 0);
      taken := false;
    end if;
  else
    taken := pg_try_advisory_xact_lock(1885828462, 0) and pg_try_advisory_xact_lock(product_class, product_object);
  end if;
  if not taken then
    raise exception 'another session holds the migration lock'
      using errcode = 'UW001', detail = pgunwind.lock_holders(product_class, product_object)::text;
  end if;
end
$$;

create or replace function pgunwind.release_locks(product_class integer, product_object integer) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select pg_advisory_unlock(product_class, product_object), pg_advisory_unlock(1885828462, 0)
$$;

-- A worker that runs on while a newer one has brought the journal up to date: what it would write, this journal reads otherwise.
create or replace function pgunwind.expect_version(p jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if (p ->> 'journal')::integer is distinct from pgunwind.version() then
    raise exception 'the journal has version %', pgunwind.version() using errcode = 'UW010', detail = pgunwind.version();
  end if;
end
$$;

-- The journal's own word on what comes next: a step is carried out only if its row of the plan says the same.
create or replace function pgunwind.planned_step(p_run uuid, p_seq integer, p jsonb) returns pgunwind.plan_step
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  run pgunwind.run;
  wanted pgunwind.plan_step;
begin
  select * into run from pgunwind.run r where r.run = p_run;
  if run.run is null or run.ended_at is not null then
    raise exception 'it holds no open run %', p_run using errcode = 'UW006';
  end if;
  select * into wanted from pgunwind.plan_step q where q.plan = run.plan and q.seq = p_seq;
  if wanted.plan is null then
    raise exception 'pgunwind.plan_step has no row for it' using errcode = 'UW006';
  end if;
  if wanted.migration <> p ->> 'migration' or wanted.script <> p ->> 'script' or wanted.direction <> p ->> 'direction' then
    raise exception 'its row of pgunwind.plan_step is not the one of the plan (% %)', wanted.migration, wanted.direction
      using errcode = 'UW006';
  end if;
  return wanted;
end
$$;

-- Promise 3: only the newest claim acts. The row stays share-locked to the end of the transaction, so that no newer token
-- can be issued between this comparison and our commit.
create or replace function pgunwind.hold_fence(p_token uuid) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  newest uuid;
begin
  select f.token into newest from pgunwind.fence f for share;
  if newest is distinct from p_token then
    raise exception 'a newer claim exists' using errcode = 'UW005';
  end if;
end
$$;

-- Lock, look, guard; then the row. What `p` holds: src/step/step-message.ts. Nothing after this call in the same message
-- is even analysed when it raises.
create or replace function pgunwind.begin_step(p jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  p_run uuid := p ->> 'run';
  p_seq integer := p ->> 'seq';
  p_token uuid := p ->> 'token';
  product_class integer := p ->> 'productClass';
  product_object integer := p ->> 'productObject';
  several boolean := p ->> 'execution' in ('segmented', 'concurrent', 'opaque');
  earlier record;
  wanted pgunwind.plan_step;
  ledger text;
  verdict jsonb := nullif(p -> 'check', 'null');
begin
  perform pgunwind.expect_version(p);
  perform set_config('application_name', p ->> 'application', not several);
  perform pgunwind.take_locks(product_class, product_object, several); -- 1
  if several then
    perform pgunwind.take_locks(product_class, product_object, false); -- a script could let go of the session's
  end if;

  select s.* into earlier from pgunwind.step s where s.run = p_run and s.seq = p_seq; -- 2: a statement after the lock's
  if found then
    if earlier.state = 'done' then
      raise exception 'this step is done' using errcode = 'UW002', detail = earlier.result::text;
    end if;
    raise exception 'an earlier attempt began this step'
      using errcode = 'UW003', detail = (to_jsonb(earlier) - 'check_counts' - 'delta' - 'counts')::text;
  end if;
  select s.* into earlier
    from pgunwind.step s
   where s.state = 'started'
     and s.migration = p ->> 'migration' and s.direction = p ->> 'direction' and s.script = p ->> 'script';
  if found then
    raise exception 'an earlier run began this step'
      using errcode = 'UW003', detail = (to_jsonb(earlier) - 'check_counts' - 'delta' - 'counts')::text;
  end if;

  perform pgunwind.hold_fence(p_token); -- 3
  wanted := pgunwind.planned_step(p_run, p_seq, p);
  if p_seq > 1 and not exists (select from pgunwind.step s where s.run = p_run and s.seq = p_seq - 1 and s.state = 'done') then
    raise exception 'step % is not done', p_seq - 1 using errcode = 'UW008';
  end if;
  ledger := pgunwind.ledger_state(wanted.migration);
  if ledger <> (case wanted.ledger when 'row' then 'applied' when 'implied' then 'none' else 'absent' end)
     and not (wanted.ledger = 'absent' and ledger = 'none') then
    raise exception 'the ledger does not say what step % starts from', p_seq
      using errcode = 'UW004',
            detail = jsonb_build_array(jsonb_build_object('code', 'unexpectedAppliedSet', 'data', jsonb_build_object(
              'migration', wanted.migration, 'expected', wanted.ledger, 'found', ledger)))::text;
  end if;
  if verdict is null or not (verdict ->> 'clean')::boolean or (verdict ->> 'nextSeq')::integer <> p_seq
     or (verdict ->> 'at')::timestamptz not between clock_timestamp() - interval '10 seconds'
                                                and clock_timestamp() + interval '1 second'
     or not pg_visible_in_snapshot(pgunwind.installed_by(), (verdict ->> 'snapshot')::pg_snapshot) then
    verdict := pgunwind.check(p_run, p_seq, product_class, product_object);
    if not (verdict ->> 'clean')::boolean then
      raise exception 'the database is dirty' using errcode = 'UW004', detail = (verdict -> 'reasons')::text;
    end if;
  end if;

  insert into pgunwind.step (run, seq, leg, migration, direction, script, execution, state, attempt, token, pid, backend_start,
                             xids, ledger_row, check_snapshot, check_counts, delta)
  values (p_run, p_seq, wanted.leg, wanted.migration, wanted.direction, wanted.script, wanted.execution, 'started',
          (p ->> 'attempt')::integer, p_token, pg_backend_pid(),
          coalesce((select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a), 'epoch'),
          array[pg_current_xact_id()],
          case when several then pgunwind.ledger_begin(wanted.migration, wanted.direction = 'up') end,
          (verdict ->> 'snapshot')::pg_snapshot,
          array(select e::bigint from jsonb_array_elements_text(verdict -> 'counts') with ordinality x (e, ord) order by ord),
          pgunwind.catalog_changes());
  return jsonb_build_object('how', verdict ->> 'how');
end
$$;

-- Promise 2: ledger and journal in the transaction of the change. Only the row that this very transaction began (or took up)
-- is finished: a script that ended the transaction itself is never recorded as done.
create or replace function pgunwind.end_step(p_run uuid, p_seq integer, afresh boolean, p_how text) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  row pgunwind.step;
  own xid8[];
  now_counts bigint[];
  top xid8 := pg_current_xact_id();
  outcome jsonb;
begin
  select s.* into row from pgunwind.step s where s.run = p_run and s.seq = p_seq;
  if not found or row.state <> 'started' or row.xids[cardinality(row.xids)] <> top then
    raise exception 'the script ended its transaction' using errcode = 'UW007';
  end if;
  perform pgunwind.ledger_end(row.migration, row.direction = 'up', row.started_at, row.ledger_row);
  if afresh or row.delta is null then
    now_counts := (select c.counts from pgunwind.count_catalogs(null, null) c);
    own := row.xids;
    if pgunwind.has_subtransactions(p_run, p_seq, top) then
      own := own || pgunwind.own_subtransactions(top);
    end if;
  end if;
  outcome := jsonb_build_object(
    'how', p_how,
    'tookMs', round(extract(epoch from clock_timestamp() - row.started_at) * 1000, 1),
    'attempt', row.attempt);
  update pgunwind.step s
     set state = 'done',
         finished_at = clock_timestamp(),
         intent = null,
         xids = coalesce(own, s.xids),
         counts = now_counts,
         -- The ids of the transactions inside an opaque script are nobody's to know: what stands now is where the next check
         -- begins. Behind the count, not before it: what commits in between shows as a difference and is not lost.
         check_snapshot = case when s.execution = 'opaque' then pg_current_snapshot() else s.check_snapshot end,
         delta = case when now_counts is not null then null else (
           select array_agg(n.v - o.v order by n.ord)
             from unnest(pgunwind.catalog_changes()) with ordinality n (v, ord)
             join unnest(s.delta) with ordinality o (v, ord) using (ord)) end,
         result = outcome
   where s.run = p_run and s.seq = p_seq;
  return outcome;
end
$$;

-- Ids of our own sub-transactions that wrote to the catalogs: their rows are visible to us, newer than our own id, and still in
-- progress for everyone else. pg_xact_status() refuses ids from the future, which a frozen row of a far older epoch could
-- look like: then none of them is taken for ours, and the next check says more than it must, never less.
create or replace function pgunwind.own_subtransactions(top xid8) returns xid8[]
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  reference integer := age(top::xid);
begin
  return array(
    select distinct x.id
      from (
        select (top::text::bigint + reference - age(e.xmin))::text::xid8 as id
          from (
            select xmin from pg_class union all select xmin from pg_attribute union all select xmin from pg_attrdef
            union all select xmin from pg_constraint union all select xmin from pg_index union all select xmin from pg_proc
            union all select xmin from pg_trigger union all select xmin from pg_policy union all select xmin from pg_rewrite
            union all select xmin from pg_enum union all select xmin from pg_type union all select xmin from pg_namespace
            union all select xmin from pg_sequence union all select xmin from pg_extension
            union all select xmin from pg_inherits union all select xmin from pg_partitioned_table
            union all select xmin from pg_statistic_ext union all select xmin from pg_range
            union all select xmin from pg_event_trigger union all select xmin from pg_publication
          ) e
         where age(e.xmin) between reference - 100000000 and reference - 1
      ) x
     where pg_xact_status(x.id) = 'in progress');
exception
  when invalid_parameter_value then
    return '{}';
end
$$;

-- Did the current transaction take ids for sub-transactions? A sub-transaction of our own tells: its id is the next one after
-- all that were taken. When it follows the transaction's, there were none (and nobody else had one), and the catalogs, two
-- milliseconds of reading for each of up to 181 segments, need not be asked. An id that somebody else took says "perhaps".
create or replace function pgunwind.has_subtransactions(p_run uuid, p_seq integer, top xid8) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  next_id xid;
begin
  begin
    update pgunwind.step s set intent = null where s.run = p_run and s.seq = p_seq returning s.xmin into next_id;
  exception
    when division_by_zero then null; -- never: the block is there for its sub-transaction
  end;
  return next_id is distinct from ((top::text::bigint + 1) % 4294967296)::text::xid;
end
$$;

-- Between two transactions of one script: what is durable so far …
create or replace function pgunwind.end_unit(p_run uuid, p_seq integer, p_unit integer, subtransactions boolean) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  top xid8 := pg_current_xact_id();
  own xid8[] := '{}';
begin
  if subtransactions and pgunwind.has_subtransactions(p_run, p_seq, top) then
    own := pgunwind.own_subtransactions(top);
  end if;
  update pgunwind.step s
     set unit = p_unit, intent = null, xids = s.xids || own
   where s.run = p_run and s.seq = p_seq and s.state = 'started' and s.unit = p_unit - 1
     and s.xids[cardinality(s.xids)] = top;
  if not found then
    raise exception 'the script ended its transaction' using errcode = 'UW007';
  end if;
end
$$;

-- … and the guard of the next one. The transaction-level lock beside the session's: no script can let go of it.
create or replace function pgunwind.begin_unit(p_run uuid, p_seq integer, p_unit integer, p_token uuid, product_class integer,
                                               product_object integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform pgunwind.take_locks(product_class, product_object, false);
  perform pgunwind.hold_fence(p_token);
  update pgunwind.step s
     set xids = s.xids || pg_current_xact_id()
   where s.run = p_run and s.seq = p_seq and s.state = 'started' and s.unit = p_unit - 1;
  if not found then
    raise exception 'unit % of step % is not the next one', p_unit, p_seq using errcode = 'UW006';
  end if;
end
$$;

-- A later attempt takes up what an earlier one began, its own run's or another's.
create or replace function pgunwind.resume_step(p jsonb) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  p_run uuid := p ->> 'run';
  p_seq integer := p ->> 'seq';
  row pgunwind.step;
  wanted pgunwind.plan_step;
  verdict jsonb;
begin
  perform pgunwind.expect_version(p);
  perform set_config('application_name', p ->> 'application', false);
  perform pgunwind.take_locks((p ->> 'productClass')::integer, (p ->> 'productObject')::integer, true);
  perform pgunwind.take_locks((p ->> 'productClass')::integer, (p ->> 'productObject')::integer, false);
  select s.* into row from pgunwind.step s where s.run = p_run and s.seq = p_seq;
  if found and row.state = 'done' then
    raise exception 'this step is done' using errcode = 'UW002', detail = row.result::text;
  end if;
  perform pgunwind.hold_fence((p ->> 'token')::uuid);
  wanted := pgunwind.planned_step(p_run, p_seq, p);
  verdict := pgunwind.check(p_run, p_seq, (p ->> 'productClass')::integer, (p ->> 'productObject')::integer); -- 4
  if not (verdict ->> 'clean')::boolean then
    raise exception 'the database is dirty' using errcode = 'UW004', detail = (verdict -> 'reasons')::text;
  end if;
  update pgunwind.step s
     set run = p_run, seq = p_seq, leg = wanted.leg,
         attempt = (p ->> 'attempt')::integer, token = (p ->> 'token')::uuid, pid = pg_backend_pid(),
         backend_start = coalesce((select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a), 'epoch'),
         xids = s.xids || pg_current_xact_id()
   where s.run = (p ->> 'earlierRun')::uuid and s.seq = (p ->> 'earlierSeq')::integer
     and s.state = 'started' and s.migration = p ->> 'migration' and s.direction = p ->> 'direction' and s.script = p ->> 'script'
  returning s.* into row;
  if not found then
    raise exception 'there is nothing to take up for step %', p_seq using errcode = 'UW006';
  end if;
  return jsonb_build_object('unit', row.unit, 'intent', row.intent);
end
$$;

-- Before a statement that refuses a transaction block: what it will do and what stands now.
create or replace function pgunwind.write_intent(p_run uuid, p_seq integer, p_token uuid, p_intent jsonb, relations oid[]) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform pgunwind.hold_fence(p_token);
  update pgunwind.step s
     set intent = p_intent,
         own_relations = array(select distinct r from unnest(s.own_relations || relations) r)
   where s.run = p_run and s.seq = p_seq and s.state = 'started';
  if not found then
    raise exception 'step % is not begun', p_seq using errcode = 'UW006';
  end if;
end
$$;

-- Relations that a statement outside a transaction has made or changed: their catalog rows are ours, and so is what else the
-- same transactions wrote (a REINDEX CONCURRENTLY gives constraints and triggers the new index's oid).
create or replace function pgunwind.own_relations(p_run uuid, p_seq integer, relations oid[]) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  since pg_snapshot := (select s.check_snapshot from pgunwind.step s where s.run = p_run and s.seq = p_seq);
  young integer := pgunwind.young_limit(since);
  base bigint := pg_snapshot_xmin(since)::text::bigint + young;
begin
  update pgunwind.step s
     set own_relations = array(select distinct r from unnest(s.own_relations || relations) r),
         -- In front: the last one tells whether this transaction is the record's.
         xids = array(
           select distinct (base - age(e.xmin))::text::xid8
             from (
               select xmin from pg_class where oid = any (relations)
               union all select xmin from pg_attribute where attrelid = any (relations)
               union all select xmin from pg_index where indexrelid = any (relations)
               union all select xmin from pg_constraint where conrelid = any (relations)
             ) e
            where age(e.xmin) between -1000000000 and young
              and not pg_visible_in_snapshot((base - age(e.xmin))::text::xid8, since)) || s.xids
   where s.run = p_run and s.seq = p_seq and s.state = 'started';
end
$$;

-- Relations that VACUUM FULL, CLUSTER or a REINDEX of many have written anew since the step's check: a new pg_class row, and
-- no new column, which a relation that someone made or altered would have.
create or replace function pgunwind.rewritten_relations(p_run uuid, p_seq integer) returns oid[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  since pg_snapshot := (select s.check_snapshot from pgunwind.step s where s.run = p_run and s.seq = p_seq);
  young integer := pgunwind.young_limit(since);
  base bigint := pg_snapshot_xmin(since)::text::bigint + young;
begin
  return array(
    select c.oid
      from pg_class c
     where c.relkind in ('r', 'm', 't', 'i') and age(c.xmin) between -1000000000 and young
       and not pg_visible_in_snapshot((base - age(c.xmin))::text::xid8, since)
       and not exists (
         select from pg_attribute a
          where a.attrelid = c.oid and age(a.xmin) between -1000000000 and young
            and not pg_visible_in_snapshot((base - age(a.xmin))::text::xid8, since)));
end
$$;

-- A step that died where only a person could say what it did: its pending row in the ledger is not pending any more, so that
-- person has said it. Without this no later run could get past the unfinished step. Of runs that are over only.
create or replace function pgunwind.settle_steps() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  update pgunwind.step s
     set state = 'settled', intent = null
    from pgunwind.run r
   where r.run = s.run and r.ended_at is not null
     and s.state = 'started'
     and pgunwind.ledger_state(s.migration) <> s.direction || '-running';
end
$$;

-- Issues a new fence token for a run. The caller has ended the sessions of earlier claims; a transaction of theirs that still
-- lives holds the fence's row `for share`, and the update waits for it. `without_lock`: an index statement of an earlier attempt
-- is being let finish, and its session keeps the lock.
create or replace function pgunwind.claim(p_run uuid, p_namespace text, p_workflow_id text, product_class integer,
                                          product_object integer, without_lock boolean, take_over boolean) returns uuid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  issued uuid := gen_random_uuid();
  identifier text := (select c.system_identifier::text from pg_control_system() c);
  first_claim boolean;
begin
  if not without_lock then
    perform pgunwind.take_locks(product_class, product_object, false);
  end if;
  -- Under the fence's row: of two workflows that claim at once, the second sees the first one's run.
  insert into pgunwind.fence (one) values (true) on conflict do nothing; -- someone may have deleted it
  perform 1 from pgunwind.fence for update;
  if not take_over and exists (
       select from pgunwind.run r
        where r.run <> p_run and r.ended_at is null and r.claimed_at is not null
          and (r.namespace, r.workflow_id) <> (p_namespace, p_workflow_id)) then
    raise exception 'another workflow has an open run here' using errcode = 'UW009';
  end if;
  insert into pgunwind.issued (token, run) values (issued, p_run);
  update pgunwind.fence
     set token = issued, namespace = p_namespace, workflow_id = p_workflow_id, run = p_run, issued_at = clock_timestamp();
  perform pgunwind.leave_data(r.run) from pgunwind.run r where r.ended_at is null and r.run <> p_run;
  update pgunwind.run r
     set ended_at = clock_timestamp(), state = 'superseded'
   where r.ended_at is null and r.run <> p_run;
  perform pgunwind.settle_steps();
  first_claim := exists (select from pgunwind.run r where r.run = p_run and r.claimed_at is null);
  update pgunwind.run r set claimed_at = coalesce(r.claimed_at, clock_timestamp()) where r.run = p_run and r.ended_at is null;
  if not found then
    raise exception 'run % is not open', p_run using errcode = 'UW006';
  end if;
  -- A run belongs to the cluster and database that its first claim met. A later claim of it adds a newer timeline (a failover),
  -- never another cluster or database: the check goes on asking about those.
  insert into pgunwind.server (system_identifier, database, timeline)
  select identifier, d.oid, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer
    from pg_database d
   where d.datname = current_database()
     and (first_claim or exists (select from pgunwind.server v where v.system_identifier = identifier and v.database = d.oid))
      on conflict do nothing;
  return issued;
end
$$;

-- Closes a release boundary: once for each leg, together with the product's own version row (write_release_marker comes
-- from src/journal/ledgers; null where this database does not hold it).
create or replace function pgunwind.close_leg(p_run uuid, p_leg integer, p_release text, p_token uuid, p_marker text,
                                              product_class integer, product_object integer) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  earlier pgunwind.leg;
  written text;
begin
  perform pgunwind.take_locks(product_class, product_object, false);
  select l.* into earlier from pgunwind.leg l where l.run = p_run and l.leg = p_leg;
  if found then
    return jsonb_build_object('found', 'foundDone', 'marker', earlier.marker);
  end if;
  perform pgunwind.hold_fence(p_token);
  perform pgunwind.expect_steps_done(p_run, p_leg); -- a boundary is closed over what stands in this journal
  if exists (
       select from pgunwind.plan_data q
         join pgunwind.run r on r.plan = q.plan and r.run = p_run
        where q.leg <= p_leg
          and not exists (select from pgunwind.data_step d
                           where d.run = p_run and d.leg = q.leg and d.id = q.id and d.state = 'done')) then
    raise exception 'data migrations up to leg % are not done', p_leg using errcode = 'UW008';
  end if;
  if p_marker is not null then
    written := pgunwind.write_release_marker(p_marker);
  end if;
  insert into pgunwind.leg (run, leg, release, marker)
  values (p_run, p_leg, p_release, case when written = 'written' then p_marker else written end);
  return jsonb_build_object('found', 'written', 'marker', case when written = 'written' then p_marker else written end);
end
$$;

-- Where a point-in-time restore has to go. Named where the server lets this role do so (superuser, or execute on
-- pg_create_restore_point was granted) and keeps enough WAL for it.
create or replace function pgunwind.note_restore_point(p_run uuid, p_leg integer) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  named text := 'pg-unwind ' || p_run;
  at_lsn pg_lsn;
  point pgunwind.restore_point;
begin
  select r.* into point from pgunwind.restore_point r where r.run = p_run;
  if point.run is null then
    begin
      at_lsn := pg_create_restore_point(named);
    exception when insufficient_privilege or object_not_in_prerequisite_state then
      named := null;
      at_lsn := pg_current_wal_insert_lsn();
    end;
    insert into pgunwind.restore_point (run, leg, at, lsn, timeline, name)
    values (p_run, p_leg, clock_timestamp(), at_lsn, ('x' || left(pg_walfile_name(at_lsn), 8))::bit(32)::integer, named)
    on conflict (run) do update set run = excluded.run
    returning * into point;
  end if;
  return jsonb_build_object('at', to_char(point.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'lsn', point.lsn::text,
    'timeline', point.timeline, 'name', point.name);
end
$$;
