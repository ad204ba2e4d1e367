drop table if exists uploads;
drop table if exists site_pages;
