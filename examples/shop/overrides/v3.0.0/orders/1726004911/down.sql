-- Until v2.2.0 this was DROP INDEX CONCURRENTLY, which the shop's own migrator could not run in its transaction.
drop index if exists order_lines_product_id_idx;
