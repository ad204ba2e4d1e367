-- The list outlives its transaction: it is needed by the segments after the first.
create temporary table unclean_customers on commit preserve rows as
select id
  from customers
 where email <> lower(btrim(email));

commit and chain;

update customers
   set email = lower(btrim(email))
  from unclean_customers
 where unclean_customers.id = customers.id;

commit and chain;

drop table unclean_customers;
