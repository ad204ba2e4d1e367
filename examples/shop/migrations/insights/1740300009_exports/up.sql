create table exports (
  id uuid primary key default gen_random_uuid(),
  dashboard_id bigint not null references dashboards (id) on delete cascade,
  requested_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint exports_in_order check (finished_at is null or finished_at >= requested_at)
);

create index exports_open_idx
  on exports (requested_at)
  where finished_at is null;

create view open_exports as
select id, dashboard_id, requested_at
  from exports
 where finished_at is null;
