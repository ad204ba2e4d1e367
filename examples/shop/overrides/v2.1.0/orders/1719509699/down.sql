alter table order_lines
  drop constraint if exists order_lines_quantity_positive,
  drop constraint if exists order_lines_price_not_negative;
