create type user_status as enum ('active', 'suspended');

alter table users
  add column status user_status not null default 'active';

create index users_suspended_idx
  on users (id)
  where status = 'suspended';
