alter table page_views
  alter column visitor type text using visitor::text;
