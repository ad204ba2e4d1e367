create table currencies (
  code char(3) primary key,
  minor_units smallint not null default 2,
  eur_rate numeric(12, 6) not null,
  constraint currencies_code_form check (code ~ '^[A-Z]{3}$')
);

insert into currencies (code, eur_rate)
values ('EUR', 1), ('USD', 0.92), ('GBP', 1.17);

alter table products
  add column currency char(3) not null default 'EUR' references currencies (code);

alter table orders
  add column currency char(3) not null default 'EUR' references currencies (code);

alter table payments
  add column currency char(3) not null default 'EUR' references currencies (code);
