-- Everything is counted in euro again. The sums are right only if each segment takes effect once.
-- The setting is one of the session: it holds for the segments after it too.
set work_mem = '32MB';

update payments p
   set amount_cents = round(p.amount_cents * c.eur_rate)
  from currencies c
 where c.code = p.currency
   and c.code <> 'EUR';

alter table payments drop column currency;

commit and chain;

update orders o
   set total_cents = round(o.total_cents * c.eur_rate)
  from currencies c
 where c.code = o.currency
   and c.code <> 'EUR';

alter table orders drop column currency;

commit and chain;

update products p
   set price_cents = round(p.price_cents * c.eur_rate)
  from currencies c
 where c.code = p.currency
   and c.code <> 'EUR';

alter table products drop column currency;

commit and chain;

-- Half empty after the first segment.
reindex index payments_order_id_idx;

commit and chain;

drop table currencies;
