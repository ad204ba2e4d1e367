drop materialized view if exists site_stats;
