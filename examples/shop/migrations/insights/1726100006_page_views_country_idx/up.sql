CREATE INDEX CONCURRENTLY IF NOT EXISTS page_views_country_idx ON page_views USING btree (country, viewed_at);
