CREATE INDEX CONCURRENTLY IF NOT EXISTS order_lines_product_id_idx ON order_lines USING btree (product_id);
