-- A label of an enum cannot be removed: the type is made anew. Returned orders become cancelled ones.
update orders
   set status = 'cancelled'
 where status = 'returned';

drop view order_totals;

alter table orders drop constraint orders_placed_at_set;
alter table orders alter column status drop default;

alter type order_status rename to order_status_with_returned;
create type order_status as enum ('cart', 'placed', 'paid', 'shipped', 'cancelled');

alter table orders
  alter column status type order_status using status::text::order_status,
  alter column status set default 'cart',
  add constraint orders_placed_at_set check (status = 'cart' or placed_at is not null);

drop type order_status_with_returned;

create view order_totals as
select o.id,
       o.customer_id,
       o.status,
       count(l.line_no) as lines,
       coalesce(sum(l.line_total_cents), 0)::bigint as total_cents
  from orders o
  left join order_lines l on l.order_id = o.id
 group by o.id;
