-- Fails: the first constraint is called order_lines_quantity_positive. Corrected in v2.1.0.
alter table order_lines
  drop constraint order_lines_qty_positive,
  drop constraint order_lines_price_not_negative;
