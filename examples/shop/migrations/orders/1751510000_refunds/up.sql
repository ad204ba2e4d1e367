create type refund_reason as enum ('damaged', 'late', 'changed mind');

create table refunds (
  id bigint generated always as identity primary key,
  payment_id bigint not null references payments (id),
  reason refund_reason not null,
  amount_cents bigint not null,
  refunded_at timestamptz not null default now(),
  constraint refunds_amount_positive check (amount_cents > 0)
);

create index refunds_payment_id_idx
  on refunds (payment_id);

create function refund_not_above_payment() returns trigger
  language plpgsql
as $$
begin
  if new.amount_cents > (select amount_cents from payments where id = new.payment_id) then
    raise exception 'refund of payment % is higher than the payment', new.payment_id;
  end if;
  return new;
end
$$;

create trigger refunds_limit
  before insert or update on refunds
  for each row execute function refund_not_above_payment();

create view refunds_by_reason as
select reason,
       count(*) as refunds,
       sum(amount_cents)::bigint as amount_cents
  from refunds
 group by reason;
