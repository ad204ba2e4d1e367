alter table order_lines
  add constraint order_lines_quantity_positive check (quantity > 0) not valid,
  add constraint order_lines_price_not_negative check (unit_price_cents >= 0) not valid;

commit and chain;

alter table order_lines validate constraint order_lines_quantity_positive;
alter table order_lines validate constraint order_lines_price_not_negative;
