drop table if exists user_roles;
drop table if exists role_permissions;
drop table if exists roles;
