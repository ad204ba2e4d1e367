create materialized view site_stats as
select s.id as site_id,
       s.workspace_id,
       count(p.id) as pages,
       count(p.id) filter (where p.published) as published
  from sites s
  left join site_pages p on p.site_id = s.id
 group by s.id;

create unique index site_stats_site_id_key
  on site_stats (site_id);
