drop table if exists sites;
