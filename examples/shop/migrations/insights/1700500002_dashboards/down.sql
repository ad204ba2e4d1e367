drop table if exists dashboards;
