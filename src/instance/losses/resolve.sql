-- pg-unwind losses.resolve
-- $1: [{"n": 0, "kind": "table", "parts": ["public", "jobs"], "cascade": false}, …], names as a script has them.
-- One row for each object whose content or definition goes with the nth: itself first, then what it takes along.
with recursive wanted as (
  select w.n, w.kind, w.parts, w.cascade,
         (select string_agg(quote_ident(p.part), '.' order by p.at) from unnest(w.parts) with ordinality p(part, at)) as whole,
         (select string_agg(quote_ident(p.part), '.' order by p.at) from unnest(w.parts) with ordinality p(part, at)
           where p.at < cardinality(w.parts)) as upper
    from jsonb_to_recordset($1::jsonb) as w(n integer, kind text, parts text[], cascade boolean)
),
named as (
  select w.n, w.kind, w.cascade, 'pg_class'::regclass::oid as class, r.relation as id, 0 as sub
    from wanted w, lateral (select to_regclass(w.whole)::oid) r(relation)
   where w.kind in ('table', 'rows', 'rewrite', 'sequence', 'materializedView') and r.relation is not null
  union all
  select w.n, w.kind, w.cascade, 'pg_class'::regclass, a.attrelid, a.attnum
    from wanted w join pg_attribute a
      on a.attrelid = to_regclass(w.upper)::oid and a.attname = w.parts[cardinality(w.parts)] and a.attnum > 0 and not a.attisdropped
   where w.kind = 'column' or (w.kind = 'rewrite' and to_regclass(w.whole) is null)
  union all
  select w.n, w.kind, w.cascade, 'pg_type'::regclass, to_regtype(w.whole)::oid, 0
    from wanted w where w.kind = 'type' and to_regtype(w.whole) is not null
  union all
  select w.n, w.kind, w.cascade, 'pg_namespace'::regclass, s.oid, 0
    from wanted w join pg_namespace s on s.nspname = w.parts[1] where w.kind = 'schema'
  union all
  select w.n, w.kind, w.cascade, 'pg_extension'::regclass, e.oid, 0
    from wanted w join pg_extension e on e.extname = w.parts[1] where w.kind = 'extension'
),
-- A column goes from the tables that have it by inheritance alone, too: pg_depend does not say so. A partition's is its parent's.
inherited(n, cascade, id, sub, root) as (
  select n, cascade, id, sub, true from named where kind = 'column'
  union
  select p.n, p.cascade, i.inhrelid, a.attnum::integer, false
    from inherited p
    join pg_attribute o on o.attrelid = p.id and o.attnum = p.sub
    join pg_inherits i on i.inhparent = p.id
    join pg_class c on c.oid = i.inhrelid and not c.relispartition
    join pg_attribute a on a.attrelid = i.inhrelid and a.attname = o.attname and a.attinhcount = 1 and not a.attislocal
),
-- What DROP takes along: parts of it always, the rest where the script says CASCADE.
going(n, cascade, class, id, sub, root) as (
  select n, cascade, class, id, sub, true from named where kind not in ('rows', 'rewrite', 'column')
  union
  select n, cascade, 'pg_class'::regclass, id, sub, root from inherited
  union
  select g.n, g.cascade, coalesce(v.class, d.classid), coalesce(v.id, d.objid), case when v.id is null then d.objsubid else 0 end, false
    from going g
    join pg_depend d on d.refclassid = g.class and d.refobjid = g.id and (g.sub = 0 or d.refobjsubid = g.sub)
                    and (d.deptype in ('a', 'i', 'P', 'S', 'e', 'x') or (g.cascade and d.deptype = 'n'))
    -- A view stands behind its rule.
    left join lateral (select 'pg_class'::regclass::oid as class, w.ev_class as id from pg_rewrite w
                        where d.classid = 'pg_rewrite'::regclass and w.oid = d.objid) v on true
),
-- What TRUNCATE … CASCADE empties: whatever refers to it. What DELETE may take along: rows whose foreign key says so. Of either: tables
-- that inherit.
emptied(n, id, root) as (
  select n, id, true from named where kind = 'rows'
  union
  select e.n, t.id, false
    from emptied e
    join named w on w.n = e.n
    join lateral (
      select f.conrelid from pg_constraint f
       where f.contype = 'f' and f.confrelid = e.id and f.conparentid = 0 and (w.cascade or f.confdeltype = 'c')
      union all
      select i.inhrelid from pg_inherits i join pg_class c on c.oid = i.inhrelid and not c.relispartition where i.inhparent = e.id
    ) t(id) on true
),
objects as (
  select n, class, id, sub, bool_or(root) as root, null::text as how from going group by n, class, id, sub
  union all
  select n, 'pg_class'::regclass, id, 0, bool_or(root), 'rows' from emptied group by n, id
  union all
  select n, class, id, sub, true, 'rewrite' from named where kind = 'rewrite'
)
select o.n, o.root, o.how, i.type, i.identity, coalesce(a.attgenerated <> '', false) as computed,
       c.oid as relation, c.relkind as kind, a.attname as column,
       -- Without a lock, and so for the whole of a partitioned table: what nobody counts is told from this.
       case when c.relkind in ('r', 'p', 'm') then t.rows end as rows,
       case when c.relkind in ('r', 'p', 'm') then t.bytes end as bytes,
       s.empty as "emptyShare", s.width
  from objects o
  cross join lateral pg_identify_object(o.class, o.id, o.sub) i
  left join pg_class c on o.class = 'pg_class'::regclass and c.oid = o.id
  left join pg_attribute a on c.oid = a.attrelid and a.attnum = o.sub and o.sub > 0
  left join lateral (
    select case when bool_and(p.reltuples >= 0) then sum(p.reltuples)::float8 end as rows,
           sum(p.relpages::float8 + coalesce(x.relpages, 0)) * current_setting('block_size')::integer as bytes
      from pg_class p left join pg_class x on x.oid = p.reltoastrelid
     where p.oid = c.oid or (c.relkind = 'p' and p.relkind = 'r' and p.oid in (select relid from pg_partition_tree(c.oid)))
       and p.relkind <> 'p'
  ) t on true
  left join lateral (
    select s.null_frac::float8 as empty, s.avg_width as width
      from pg_stats s join pg_namespace m on m.nspname = s.schemaname
     where m.oid = c.relnamespace and s.tablename = c.relname and s.attname = a.attname and s.inherited = (c.relkind = 'p')
  ) s on true
 where o.root or (
         i.type in ('table', 'table column', 'foreign table', 'sequence', 'materialized view', 'view', 'function', 'procedure',
                    'policy', 'trigger', 'table constraint', 'type')
         and not coalesce(c.relispartition, false)
         -- A column of a table that goes, the sequence behind a serial one, the row type of a table: parts of it, not worth a line.
         and not (o.sub > 0 and exists (select from objects w where w.n = o.n and w.class = o.class and w.id = o.id and w.sub = 0))
         and not (c.relkind = 'S' and exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                                                and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
         and not (i.type = 'type' and exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = o.id
                                                and d.deptype = 'i'))
         and not (i.type = 'trigger' and exists (select from pg_trigger g where g.oid = o.id and g.tgisinternal))
         and not (i.type in ('table constraint', 'trigger', 'policy') and exists (
               select from pg_depend d join objects w on w.n = o.n and w.class = d.refclassid and w.id = d.refobjid and w.sub = 0 and w.how is null
                where d.classid = o.class and d.objid = o.id and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass))
       )
 order by o.n, o.root desc, i.type, i.identity;
