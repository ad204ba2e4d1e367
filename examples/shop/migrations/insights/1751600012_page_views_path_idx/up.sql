CREATE INDEX CONCURRENTLY IF NOT EXISTS page_views_path_idx ON page_views USING btree (site_slug, path);
