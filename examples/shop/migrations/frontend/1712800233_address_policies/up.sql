alter table addresses enable row level security;

create policy addresses_of_the_user
  on addresses
  using (user_id = nullif(current_setting('shop.user_id', true), '')::bigint);

create policy addresses_of_staff
  on addresses
  for select
  using (current_setting('shop.is_staff', true) = 'on');
