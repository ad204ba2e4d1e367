drop materialized view if exists top_pages;
