-- Page views and what is made of them, for the schema of v3.0.0. Arithmetic instead of random(): the same rows everywhere.

insert into page_views (id, site_slug, path, viewed_at, visitor, country)
select i,
       'site-' || 1 + i::bigint * 7919 % 600,
       '/page-' || i % 30,
       '2024-01-01 00:00:00+00'::timestamptz + i * interval '3 minutes',
       case when i % 5 <> 0 then md5((i % 20000)::text)::uuid::text end,
       (array['PT', 'NO', 'BE', 'FI', 'PL', 'XX'])[1 + i % 6]
  from generate_series(1, 160000) as i;

insert into daily_totals (day, site_slug, views)
select (viewed_at at time zone 'UTC')::date, site_slug, count(*)
  from page_views
 where viewed_at < '2024-07-01 00:00:00+00'
 group by 1, 2;

insert into dashboards (id, title, created_by, layout)
select i,
       'Dashboard ' || i,
       50 * i,
       jsonb_build_object('columns', 1 + i % 3)
  from generate_series(1, 200) as i;

insert into panels (dashboard_id, position, kind, query, colour)
select 1 + i / 4,
       1 + i % 4,
       (array['number', 'line', 'bar'])[1 + i % 3]::panel_kind,
       'select sum(views) from daily_totals',
       '#' || lpad(to_hex(i * 4099 % 16777216), 6, '0')
  from generate_series(0, 799) as i;

insert into alert_rules (dashboard_id, panel_position, threshold, channels)
select dashboard_id, position, 100 * position, array['email', 'pager']
  from panels
 where dashboard_id % 3 = 0
 order by dashboard_id, position;

insert into exports (id, dashboard_id, requested_at, finished_at)
select md5('export ' || i)::uuid,
       1 + i % 200,
       '2025-03-01 00:00:00+00'::timestamptz + i * interval '1 hour',
       case when i % 10 <> 0 then '2025-03-01 00:00:00+00'::timestamptz + i * interval '1 hour' + interval '30 seconds' end
  from generate_series(1, 2000) as i;

insert into experiments (title, during)
select 'Experiment ' || i,
       daterange(date '2025-01-01' + i * 14, date '2025-01-01' + i * 14 + 10)
  from generate_series(0, 11) as i;

select setval(pg_get_serial_sequence('page_views', 'id'), 160000),
       setval(pg_get_serial_sequence('dashboards', 'id'), 200);

refresh materialized view top_pages;

analyze page_views, daily_totals, dashboards, panels, alert_rules, exports, experiments, top_pages;
