create function roll_up_day(wanted date) returns bigint
  language plpgsql
as $$
declare
  rolled_up bigint;
begin
  insert into daily_totals (day, site_slug, views)
  select wanted, site_slug, count(*)
    from page_views
   where viewed_at >= wanted
     and viewed_at < wanted + 1
   group by site_slug
  on conflict (day, site_slug) do update
    set views = excluded.views;
  get diagnostics rolled_up = row_count;
  return rolled_up;
end
$$;
