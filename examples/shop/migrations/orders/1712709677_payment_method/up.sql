create type payment_method as enum ('card', 'transfer', 'voucher');

alter table payments
  add column method payment_method not null default 'card';
