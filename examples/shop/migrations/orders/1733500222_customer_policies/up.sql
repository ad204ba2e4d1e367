alter table customers enable row level security;
alter table orders enable row level security;

create policy customers_themselves
  on customers
  using (id = nullif(current_setting('shop.customer_id', true), '')::bigint);

create policy orders_of_the_customer
  on orders
  for select
  using (customer_id = nullif(current_setting('shop.customer_id', true), '')::bigint);
