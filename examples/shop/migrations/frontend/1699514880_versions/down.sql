drop table if exists versions;
drop function if exists versions_keep_first();
