alter table orders
  add column number text not null generated always as ('SO-' || lpad(id::text, 9, '0')) stored;

alter table orders
  add constraint orders_number_key unique (number);
