create table coupons (
  code text primary key,
  percent_off numeric(5, 2) not null,
  valid_until date,
  used_by_order bigint references orders (id) on delete set null,
  constraint coupons_percent_range check (percent_off > 0 and percent_off <= 100)
);
