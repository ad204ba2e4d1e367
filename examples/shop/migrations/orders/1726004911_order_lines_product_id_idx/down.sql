DROP INDEX CONCURRENTLY IF EXISTS order_lines_product_id_idx;
