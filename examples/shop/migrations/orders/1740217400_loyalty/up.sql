create table loyalty_points (
  customer_id bigint primary key references customers (id) on delete cascade,
  points bigint not null default 0
);

insert into loyalty_points (customer_id, points)
select customer_id, sum(total_cents) / 100
  from orders
 where status in ('paid', 'shipped')
 group by customer_id;

create function award_points() returns trigger
  language plpgsql
as $$
begin
  insert into loyalty_points (customer_id, points)
  values (new.customer_id, new.total_cents / 100)
  on conflict (customer_id) do update
    set points = loyalty_points.points + excluded.points;
  return null;
end
$$;

create trigger orders_award_points
  after update of status on orders
  for each row
  when (new.status = 'paid' and old.status <> 'paid')
  execute function award_points();

insert into coupons (code, percent_off)
values ('LOYALTY-10', 10)
on conflict do nothing;
