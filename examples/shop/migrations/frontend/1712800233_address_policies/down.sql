drop policy if exists addresses_of_staff on addresses;
drop policy if exists addresses_of_the_user on addresses;
alter table addresses disable row level security;
