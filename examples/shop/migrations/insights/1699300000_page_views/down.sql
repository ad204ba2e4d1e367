drop table if exists page_views;
