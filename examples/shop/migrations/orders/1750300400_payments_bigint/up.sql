drop materialized view monthly_revenue;

alter table payments
  alter column amount_cents type bigint;

create materialized view monthly_revenue as
select date_trunc('month', paid_at at time zone 'UTC')::date as month,
       currency,
       sum(amount_cents)::bigint as revenue_cents,
       count(*) as payments
  from payments
 group by 1, 2;

create unique index monthly_revenue_key
  on monthly_revenue (month, currency);
