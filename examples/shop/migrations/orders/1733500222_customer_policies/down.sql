drop policy if exists orders_of_the_customer on orders;
drop policy if exists customers_themselves on customers;
alter table orders disable row level security;
alter table customers disable row level security;
