drop view if exists refunds_by_reason;

commit and chain;

drop trigger if exists refunds_limit on refunds;

commit and chain;

drop function if exists refund_not_above_payment();

commit and chain;

update orders
   set status = 'returned'
 where status = 'paid'
   and id in (
     select p.order_id
       from refunds r
       join payments p on p.id = r.payment_id
   );

drop table if exists refunds;

commit and chain;

drop type if exists refund_reason;
