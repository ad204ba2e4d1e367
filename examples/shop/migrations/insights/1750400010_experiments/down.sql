drop table if exists experiments;
