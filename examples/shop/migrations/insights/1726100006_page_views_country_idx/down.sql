drop index if exists page_views_country_idx;
