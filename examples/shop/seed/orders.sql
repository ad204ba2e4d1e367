-- Three years of trade, for the schema of v3.0.0. Arithmetic instead of random(): the same rows everywhere.

insert into customers (id, email, name, phone, created_at)
select i,
       'customer' || i || '@example.org',
       'Customer ' || i,
       case when i % 4 = 0 then '+35121' || lpad(i::text, 6, '0') end,
       '2023-01-01 00:00:00+00'::timestamptz + i * interval '25 minutes'
  from generate_series(1, 50000) as i;

insert into products (id, sku, name, price_cents, active, changed_at, currency)
select i,
       'SKU-' || lpad(i::text, 5, '0'),
       (array['Lantern', 'Rope', 'Anchor', 'Compass', 'Oilskin'])[1 + i % 5] || ' ' || i,
       250 + i * 37 % 20000,
       i % 20 <> 0,
       '2025-01-01 00:00:00+00'::timestamptz + i * interval '1 hour',
       (array['EUR', 'EUR', 'USD', 'GBP'])[1 + i % 4]
  from generate_series(1, 2500) as i;

update products
   set price_cents = price_cents + 50
 where id % 3 = 0;

insert into orders (id, customer_id, status, placed_at, total_cents, currency, channel)
select i,
       1 + i::bigint * 7919 % 50000,
       (array['shipped', 'shipped', 'paid', 'shipped', 'placed', 'shipped', 'cancelled', 'shipped', 'cart', 'returned'])
         [1 + i % 10]::order_status,
       case when i % 10 <> 8 then '2023-01-01 00:00:00+00'::timestamptz + i * interval '9 minutes' end,
       1000 + i::bigint * 113 % 50000,
       (array['EUR', 'EUR', 'USD', 'GBP'])[1 + i % 4],
       (array['web', 'web', 'phone', 'store'])[1 + i / 10 % 4]
  from generate_series(1, 160000) as i;

insert into order_lines (order_id, line_no, product_id, quantity, unit_price_cents)
select 1 + i % 80000,
       1 + i / 80000,
       1 + i::bigint * 31 % 2500,
       1 + i % 4,
       250 + i::bigint * 37 % 20000
  from generate_series(0, 99999) as i;

insert into payments (id, order_id, amount_cents, paid_at, method, currency)
select row_number() over (order by id),
       id,
       total_cents,
       placed_at + interval '10 minutes',
       (array['card', 'card', 'transfer', 'voucher'])[1 + id % 4]::payment_method,
       currency
  from orders
 where status in ('paid', 'shipped', 'returned');

insert into shipments (order_id, shipped_on, carrier, tracking_code)
select id,
       (placed_at at time zone 'UTC')::date + 1,
       (array['Northpost', 'Gull', 'Bay Express'])[1 + id % 3],
       'T' || lpad(id::text, 10, '0')
  from orders
 where status = 'shipped';

insert into coupons (code, percent_off, valid_until, used_by_order)
select case when i % 5 = 0 then 'LOYALTY-' else 'SPRING-' end || lpad(i::text, 5, '0'),
       5 + i % 20,
       date '2025-12-31' - i % 300,
       case when i % 2 = 0 then i * 10 end
  from generate_series(1, 1500) as i;

insert into loyalty_points (customer_id, points)
select customer_id, sum(total_cents) / 100
  from orders
 where status in ('paid', 'shipped')
 group by customer_id;

insert into refunds (payment_id, reason, amount_cents, refunded_at)
select id,
       (array['damaged', 'late', 'changed mind'])[1 + id % 3]::refund_reason,
       1 + amount_cents / 2,
       paid_at + interval '9 days'
  from payments
 where id % 40 = 0
 order by id;

select setval(pg_get_serial_sequence('customers', 'id'), 50000),
       setval(pg_get_serial_sequence('products', 'id'), 2500),
       setval(pg_get_serial_sequence('orders', 'id'), 160000),
       setval(pg_get_serial_sequence('payments', 'id'), max(id))
  from payments;

refresh materialized view monthly_revenue;

analyze currencies, customers, products, product_prices, orders, order_lines, payments, shipments, coupons,
  loyalty_points, refunds, monthly_revenue;
