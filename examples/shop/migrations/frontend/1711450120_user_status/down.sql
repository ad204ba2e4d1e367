drop index if exists users_suspended_idx;
alter table users drop column if exists status;
drop type if exists user_status;
