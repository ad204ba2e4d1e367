alter table page_views
  add column visitor_hash text
    generated always as (md5(visitor)) stored;
