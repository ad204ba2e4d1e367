alter table page_views
  add column country char(2);
