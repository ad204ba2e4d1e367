create table shipments (
  order_id bigint not null references orders (id),
  shipped_on date not null,
  carrier text not null,
  tracking_code text,
  primary key (order_id, shipped_on)
) partition by range (shipped_on);

create table shipments_2023 partition of shipments for values from ('2023-01-01') to ('2024-01-01');
create table shipments_2024 partition of shipments for values from ('2024-01-01') to ('2025-01-01');
create table shipments_2025 partition of shipments for values from ('2025-01-01') to ('2026-01-01');
create table shipments_2026 partition of shipments for values from ('2026-01-01') to ('2027-01-01');

create index shipments_tracking_code_idx
  on shipments (tracking_code);
