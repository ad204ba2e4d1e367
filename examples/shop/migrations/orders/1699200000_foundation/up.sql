create type order_status as enum ('cart', 'placed', 'paid', 'shipped', 'cancelled');

create function stamp_change() returns trigger
  language plpgsql
as $$
begin
  new.changed_at := now();
  return new;
end
$$;
