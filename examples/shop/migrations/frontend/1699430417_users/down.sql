drop table if exists users;
drop function if exists touch_updated_at();
drop type if exists user_role;
