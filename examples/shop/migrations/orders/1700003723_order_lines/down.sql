drop table if exists order_lines;
