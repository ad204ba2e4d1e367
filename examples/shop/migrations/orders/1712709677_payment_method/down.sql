alter table payments drop column if exists method;
drop type if exists payment_method;
