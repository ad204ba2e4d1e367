create materialized view top_pages as
select site_slug,
       path,
       count(*) as views
  from page_views
 group by site_slug, path;

create unique index top_pages_key
  on top_pages (site_slug, path);
