create table product_prices (
  product_id bigint not null references products (id) on delete cascade,
  valid_from timestamptz not null,
  price_cents integer not null,
  primary key (product_id, valid_from)
);

create function keep_price() returns trigger
  language plpgsql
as $$
begin
  insert into product_prices (product_id, valid_from, price_cents)
  values (new.id, clock_timestamp(), new.price_cents);
  return null;
end
$$;

create trigger products_keep_price
  after update of price_cents on products
  for each row
  when (old.price_cents is distinct from new.price_cents)
  execute function keep_price();
