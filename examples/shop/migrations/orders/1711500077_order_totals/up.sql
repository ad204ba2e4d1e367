create view order_totals as
select o.id,
       o.customer_id,
       o.status,
       count(l.line_no) as lines,
       coalesce(sum(l.line_total_cents), 0)::bigint as total_cents
  from orders o
  left join order_lines l on l.order_id = o.id
 group by o.id;
