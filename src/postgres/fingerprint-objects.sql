-- pg-unwind fingerprint.objects
-- $1 schemas (null: all of the user's), $2 relations to leave out (name or schema.name, unquoted)
with
  -- what an extension brought along is described by the extension alone
  member as materialized (
    select d.classid, d.objid
      from pg_depend as d
     where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  ),
  space as materialized (
    select n.oid, n.nspname, quote_ident(n.nspname) as name, n.nspowner, n.nspacl
      from pg_namespace as n
     where n.nspname !~ '^pg_'
       and n.nspname not in ('information_schema', 'pgunwind')
       and ($1::text[] is null or n.nspname = any ($1::text[]))
  ),
  ignored as materialized (
    select c.oid
      from pg_class as c
      join space as s on s.oid = c.relnamespace
     where c.relname = any ($2::text[]) or s.nspname || '.' || c.relname = any ($2::text[])
  ),
  relation as materialized (
    select c.*, s.name || '.' || quote_ident(c.relname) as name,
           (select string_agg(o, ', ' order by o collate "C") from unnest(c.reloptions) as o) as options,
           (select quote_ident(t.spcname) from pg_tablespace as t where t.oid = c.reltablespace) as tablespace
      from pg_class as c
      join space as s on s.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')
       and c.relpersistence <> 't'
       and c.oid not in (select objid from member where classid = 'pg_class'::regclass)
       and c.oid not in (select oid from ignored)
       and not (c.relkind = 'S' and exists (
             select from pg_depend as d
              where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
                and d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from ignored)))
  ),
  sequence as materialized (
    select q.seqrelid as oid,
           concat_ws(' ', 'as', format_type(q.seqtypid, null), 'start', q.seqstart, 'increment', q.seqincrement,
                     'minimum', q.seqmin, 'maximum', q.seqmax, 'cache', q.seqcache,
                     case when q.seqcycle then 'cycle' end) as parameters,
           d.deptype = 'i' as of_identity, d.refobjid as table_oid, d.refobjsubid as attnum
      from pg_sequence as q
      left join pg_depend as d
        on d.classid = 'pg_class'::regclass and d.objid = q.seqrelid and d.objsubid = 0
       and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  ),
  -- pg_constraint has a row for a not-null column since 18; a name that the server chose says nothing
  not_null as materialized (
    select k.conrelid, k.conkey[1] as attnum, k.conname,
           concat_ws(' ', case when not k.convalidated then 'not valid' end,
                          case when k.connoinherit then 'no inherit' end) as flags
      from pg_constraint as k
     where k.contype = 'n' and k.conrelid <> 0
  ),
  attribute as materialized (
    select r.oid as relid, r.name as relation, r.relname, r.relkind, r.relowner, a.*,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod),
             case when a.attcollation <> t.typcollation
                  then (select 'collate ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname)
                          from pg_collation as l
                          join pg_namespace as n on n.oid = l.collnamespace
                         where l.oid = a.attcollation) end) as type,
           t.typstorage
      from relation as r
      join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      join pg_type as t on t.oid = a.atttypid
     where r.relkind in ('r', 'p', 'f', 'v', 'm')
  ),
  view_columns as materialized (
    select a.relid,
           string_agg(concat_ws(' ', quote_ident(a.attname), a.type, 'default ' || pg_get_expr(d.adbin, d.adrelid)), ', '
                      order by a.attnum) as columns
      from attribute as a
      left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.relkind in ('v', 'm')
     group by a.relid
  ),
  -- classid, objid, subid: as in pg_description; text null: no object of its own, but a comment or privileges may hang on it
  object (classid, objid, subid, class, name, text, acltype, owner, acl) as materialized (
    select 'pg_extension'::regclass::oid, e.oid, 0, 'extension', quote_ident(e.extname),
           'version ' || e.extversion || ' in ' || quote_ident(n.nspname), null::"char", null::oid, null::aclitem[]
      from pg_extension as e
      join pg_namespace as n on n.oid = e.extnamespace

    union all
    select 'pg_namespace'::regclass, s.oid, 0, 'schema', s.name, '', 'n', s.nspowner, s.nspacl
      from space as s
     where s.oid not in (select objid from member where classid = 'pg_namespace'::regclass)

    union all
    select 'pg_class'::regclass, r.oid, 0, case r.relkind when 'f' then 'foreignTable' else 'table' end, r.name,
           concat_ws(' ',
             case r.relpersistence when 'u' then 'unlogged' else 'logged' end,
             'partitioned by ' || pg_get_partkeydef(r.oid),
             (select string_agg(case when r.relispartition then 'partition of ' else 'inherits ' end
                                || h.inhparent::regclass::text, ', ' order by h.inhseqno)
                from pg_inherits as h where h.inhrelid = r.oid),
             pg_get_expr(r.relpartbound, r.oid),
             case when r.reloftype <> 0 then 'of ' || format_type(r.reloftype, null) end,
             (select 'using ' || quote_ident(m.amname) from pg_am as m where m.oid = r.relam and m.amname <> 'heap'),
             'with (' || r.options || ')',
             (select 'toast with (' || string_agg(o, ', ' order by o collate "C") || ')'
                from pg_class as toast, unnest(toast.reloptions) as o where toast.oid = r.reltoastrelid),
             'tablespace ' || r.tablespace,
             case r.relreplident
               when 'n' then 'replica identity nothing'
               when 'f' then 'replica identity full'
               when 'i' then 'replica identity using ' || (
                 select quote_ident(x.relname) from pg_index as i join pg_class as x on x.oid = i.indexrelid
                  where i.indrelid = r.oid and i.indisreplident)
             end,
             (select 'server ' || quote_ident(v.srvname) || ' options ('
                     || coalesce(array_to_string(f.ftoptions, ', '), '') || ')'
                from pg_foreign_table as f join pg_foreign_server as v on v.oid = f.ftserver where f.ftrelid = r.oid)),
           'r', r.relowner, r.relacl
      from relation as r
     where r.relkind in ('r', 'p', 'f')

    union all
    select 'pg_class'::regclass, r.oid, 0, case r.relkind when 'm' then 'materializedView' else 'view' end, r.name,
           concat_ws(E'\n',
             'with (' || r.options || ')',
             'tablespace ' || r.tablespace,
             '(' || v.columns || ')',
             pg_get_viewdef(r.oid)),
           'r', r.relowner, r.relacl
      from relation as r
      left join view_columns as v on v.relid = r.oid
     where r.relkind in ('v', 'm')

    union all
    select 'pg_class'::regclass, a.relid, a.attnum, 'column', a.relation || '.' || quote_ident(a.attname),
           case when a.relkind in ('r', 'p', 'f') then concat_ws(' ', a.type,
             case when a.attnotnull then 'not null' end,
             case when k.conname <> a.relname || '_' || a.attname || '_not_null'
                  then 'named ' || quote_ident(k.conname) end,
             nullif(k.flags, ''),
             case a.attidentity when 'a' then 'generated always as identity' when 'd' then 'generated by default as identity' end
               || ' (' || q.parameters || ')',
             case a.attgenerated when '' then 'default ' || pg_get_expr(d.adbin, d.adrelid)
                                 when 'v' then 'generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') virtual'
                                 else 'generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') stored' end,
             case when a.attstorage <> a.typstorage
                  then 'storage ' || case a.attstorage when 'p' then 'plain' when 'e' then 'external'
                                                       when 'm' then 'main' else 'extended' end end,
             case a.attcompression when 'p' then 'compression pglz' when 'l' then 'compression lz4' end,
             case when a.attstattarget >= 0 then 'statistics ' || a.attstattarget end, -- default: -1, since 17 null
             'options (' || array_to_string(a.attoptions || a.attfdwoptions, ', ') || ')',
             case when a.attinhcount > 0 then case when a.attislocal then 'inherited and local' else 'inherited' end end)
           end,
           'c', a.relowner, a.attacl
      from attribute as a
      left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
      left join not_null as k on k.conrelid = a.attrelid and k.attnum = a.attnum
      left join sequence as q on q.table_oid = a.attrelid and q.attnum = a.attnum and q.of_identity

    union all
    select 'pg_class'::regclass, a.relid, -1, 'columnOrder', a.relation,
           string_agg(quote_ident(a.attname), ', ' order by a.attnum), null, null, null
      from attribute as a
     where a.relkind in ('r', 'p', 'f')
     group by a.relid, a.relation

    union all
    select 'pg_class'::regclass, r.oid, -2, 'rowSecurity', r.name,
           concat_ws(' ', case when r.relrowsecurity then 'enabled' else 'disabled' end,
                     case when r.relforcerowsecurity then 'forced' end), null, null, null
      from relation as r
     where r.relrowsecurity or r.relforcerowsecurity

    union all
    select 'pg_class'::regclass, r.oid, 0, 'sequence', r.name,
           concat_ws(' ', case r.relpersistence when 'u' then 'unlogged' end, q.parameters,
             'owned by ' || a.relation || '.' || quote_ident(a.attname)),
           's', r.relowner, r.relacl
      from relation as r
      join sequence as q on q.oid = r.oid
      left join attribute as a on a.relid = q.table_oid and a.attnum = q.attnum
     where q.of_identity is not true -- those are part of their column

    union all
    -- the index of a primary key, unique or exclusion constraint is part of it
    select 'pg_constraint'::regclass, k.oid, 0, 'constraint', quote_ident(k.conname) || ' on ' || r.name,
           concat_ws(' ', pg_get_constraintdef(k.oid),
             case when k.contype in ('p', 'u', 'x') then 'by ' || pg_get_indexdef(k.conindid) end,
             (select concat_ws(' ', case when not i.indisvalid or not i.indisready then 'invalid' end,
                                    case when i.indisclustered then 'clustered' end)
                from pg_index as i
               where k.contype in ('p', 'u', 'x') and i.indexrelid = k.conindid
                 and (not i.indisvalid or not i.indisready or i.indisclustered)),
             case when k.contype = 'f' and exists (
                    select from pg_trigger as t where t.tgconstraint = k.oid and t.tgisinternal and t.tgenabled <> 'O')
                  then 'not checked: its triggers are disabled' end,
             case when k.coninhcount > 0 then 'inherited' end),
           null, null, null
      from pg_constraint as k
      join relation as r on r.oid = k.conrelid
     where k.contype in ('c', 'f', 'p', 'u', 'x')

    union all
    select 'pg_class'::regclass, x.oid, 0, 'index', quote_ident(x.relname) || ' on ' || r.name,
           case when not exists (select from pg_constraint as k
                                  where k.conrelid = r.oid and k.conindid = x.oid and k.contype in ('p', 'u', 'x'))
                then concat_ws(' ', pg_get_indexdef(x.oid),
                       (select 'tablespace ' || quote_ident(t.spcname) from pg_tablespace as t where t.oid = x.reltablespace),
                       case when not i.indisvalid or not i.indisready then 'invalid' end,
                       case when i.indisclustered then 'clustered' end) end,
           null, null, null
      from pg_index as i
      join relation as r on r.oid = i.indrelid
      join pg_class as x on x.oid = i.indexrelid

    union all
    select 'pg_trigger'::regclass, t.oid, 0, 'trigger', quote_ident(t.tgname) || ' on ' || r.name,
           concat_ws(' ', pg_get_triggerdef(t.oid),
             case t.tgenabled when 'D' then 'disabled' when 'R' then 'enabled replica' when 'A' then 'enabled always' end),
           null, null, null
      from pg_trigger as t
      join relation as r on r.oid = t.tgrelid
     where not t.tgisinternal

    union all
    select 'pg_policy'::regclass, p.oid, 0, 'policy', quote_ident(p.polname) || ' on ' || r.name,
           concat_ws(' ', case when p.polpermissive then 'permissive' else 'restrictive' end,
             'for ' || case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                     when 'd' then 'delete' else 'all' end,
             'to ' || (select string_agg(case when o = 0 then 'public' else quote_ident(pg_get_userbyid(o)) end, ', '
                                         order by pg_get_userbyid(o)) from unnest(p.polroles) as o),
             'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
             'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
           null, null, null
      from pg_policy as p
      join relation as r on r.oid = p.polrelid

    union all
    select 'pg_rewrite'::regclass, w.oid, 0, 'rule', quote_ident(w.rulename) || ' on ' || r.name,
           concat_ws(' ', pg_get_ruledef(w.oid),
             case w.ev_enabled when 'D' then 'disabled' when 'R' then 'enabled replica' when 'A' then 'enabled always' end),
           null, null, null
      from pg_rewrite as w
      join relation as r on r.oid = w.ev_class
     where w.rulename <> '_RETURN' -- that is the view itself

    union all
    select 'pg_statistic_ext'::regclass, x.oid, 0, 'statistics', s.name || '.' || quote_ident(x.stxname),
           concat_ws(' ', pg_get_statisticsobjdef(x.oid),
                     case when x.stxstattarget >= 0 then 'statistics ' || x.stxstattarget end),
           null, null, null
      from pg_statistic_ext as x
      join space as s on s.oid = x.stxnamespace
      join relation as r on r.oid = x.stxrelid

    union all
    select 'pg_proc'::regclass, f.oid, 0, case f.prokind when 'a' then 'aggregate' else 'function' end,
           f.oid::regprocedure::text,
           case when f.prokind <> 'a' then pg_get_functiondef(f.oid)
                else concat_ws(' ', pg_get_function_arguments(f.oid), 'returns', pg_get_function_result(f.oid),
                       'volatility', f.provolatile, 'parallel', f.proparallel, case when f.proisstrict then 'strict' end,
                       (select to_jsonb(g) - '{aggfnoid,aggtranstype,aggmtranstype,aggsortop}'::text[]
                               || jsonb_build_object('state', format_type(g.aggtranstype, null),
                                                     'moving state', nullif(format_type(g.aggmtranstype, null), '-'),
                                                     'sort', nullif(g.aggsortop::regoperator::text, '0'))
                          from pg_aggregate as g where g.aggfnoid = f.oid)) end,
           'f', f.proowner, f.proacl
      from pg_proc as f
      join space as s on s.oid = f.pronamespace
     where f.oid not in (select objid from member where classid = 'pg_proc'::regclass)
       and not exists (select from pg_depend as d -- the constructors of a range type
                        where d.classid = 'pg_proc'::regclass and d.objid = f.oid and d.deptype = 'i')

    union all
    select 'pg_type'::regclass, t.oid, 0,
           case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'c' then 'compositeType'
                          when 'r' then 'rangeType' else 'baseType' end,
           s.name || '.' || quote_ident(t.typname),
           case t.typtype
             when 'e' then (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                              from pg_enum as e where e.enumtypid = t.oid)
             when 'd' then concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
               (select 'collate ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname)
                  from pg_collation as l
                  join pg_namespace as n on n.oid = l.collnamespace
                  join pg_type as b on b.oid = t.typbasetype
                 where l.oid = t.typcollation and t.typcollation <> b.typcollation),
               case when t.typnotnull then 'not null' end,
               'default ' || t.typdefault,
               (select string_agg('constraint ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), ' '
                                  order by k.conname collate "C")
                  from pg_constraint as k where k.contypid = t.oid and k.contype = 'c'))
             when 'c' then (select string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                                     (select 'collate ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname)
                                        from pg_collation as l join pg_namespace as n on n.oid = l.collnamespace
                                        join pg_type as b on b.oid = a.atttypid
                                       where l.oid = a.attcollation and a.attcollation <> b.typcollation)),
                                     ', ' order by a.attnum)
                              from pg_attribute as a
                             where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
             when 'r' then (select concat_ws(' ', 'of', format_type(g.rngsubtype, null),
                                     'multirange', format_type(g.rngmultitypid, null),
                                     'canonical', nullif(g.rngcanonical::text, '-'), 'difference', nullif(g.rngsubdiff::text, '-'),
                                     (select 'operators ' || quote_ident(o.opcname) from pg_opclass as o where o.oid = g.rngsubopc),
                                     (select 'collate ' || quote_ident(l.collname) from pg_collation as l where l.oid = g.rngcollation))
                              from pg_range as g where g.rngtypid = t.oid)
             else concat_ws(' ', 'input', t.typinput, 'output', t.typoutput, 'length', t.typlen, 'align', t.typalign,
                            'storage', t.typstorage, 'default', t.typdefault)
           end,
           'T', t.typowner, t.typacl
      from pg_type as t
      join space as s on s.oid = t.typnamespace
     where t.typtype in ('b', 'c', 'd', 'e', 'r')
       and t.oid not in (select objid from member where classid = 'pg_type'::regclass)
       and (t.typrelid = 0 or exists (select from pg_class as c where c.oid = t.typrelid and c.relkind = 'c'))
       and not exists (select from pg_type as e where e.typarray = t.oid)

    union all
    select 'pg_default_acl'::regclass, d.oid, 0, 'default',
           concat_ws(' ', case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                                               when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end,
                     'of', quote_ident(pg_get_userbyid(d.defaclrole)), 'in ' || s.name),
           null, null, d.defaclrole, d.defaclacl
      from pg_default_acl as d
      left join space as s on s.oid = d.defaclnamespace
     where d.defaclnamespace = 0 or s.oid is not null
  ),
  -- the owner by that word, not by name: two databases of one product may belong to different roles
  granted as (
    select o.class, o.name, which.standard,
           coalesce(string_agg(g.grantee || '=' || g.rights, ' ' order by g.grantee collate "C"), 'none') as text
      from object as o
     cross join lateral (values (false, o.acl), (true, acldefault(o.acltype, o.owner))) as which (standard, acl)
      left join lateral (
             select case when x.grantee = 0 then 'public' when x.grantee = o.owner then 'owner'
                         else quote_ident(pg_get_userbyid(x.grantee)) end as grantee,
                    string_agg(distinct (lower(x.privilege_type) || case when x.is_grantable then '*' else '' end) collate "C", ',')
                      as rights
               from aclexplode(which.acl) as x
              group by x.grantee) as g on true
     where o.acl is not null
     group by o.class, o.name, which.standard
  )
select o.class || ' ' || o.name as object, o.text
  from object as o
 where o.text is not null
union all
select 'comment ' || o.class || ' ' || o.name, d.description
  from object as o
  join pg_description as d on d.classoid = o.classid and d.objoid = o.objid and d.objsubid = o.subid
union all
select 'privileges ' || g.class || ' ' || g.name, g.text
  from granted as g
  join granted as standard on standard.class = g.class and standard.name = g.name and standard.standard
 where not g.standard and g.text <> standard.text
