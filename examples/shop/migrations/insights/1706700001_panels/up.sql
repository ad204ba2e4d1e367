create type panel_kind as enum ('number', 'line', 'bar');

create table panels (
  dashboard_id bigint not null references dashboards (id) on delete cascade,
  position integer not null,
  kind panel_kind not null default 'line',
  query text not null,
  primary key (dashboard_id, position)
);
