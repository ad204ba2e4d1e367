alter table page_views drop column if exists visitor_hash;
