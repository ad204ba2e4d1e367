CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_email_lower_key ON users USING btree (lower(email));
