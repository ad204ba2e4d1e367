CREATE INDEX CONCURRENTLY IF NOT EXISTS users_created_at_idx ON users USING btree (created_at DESC);
