create table order_lines (
  order_id bigint not null references orders (id) on delete cascade,
  line_no smallint not null,
  product_id bigint not null references products (id),
  quantity integer not null,
  unit_price_cents integer not null,
  line_total_cents bigint generated always as (quantity::bigint * unit_price_cents) stored,
  primary key (order_id, line_no)
);
