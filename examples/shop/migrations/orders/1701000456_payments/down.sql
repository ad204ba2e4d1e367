drop table if exists payments;
drop sequence if exists payment_reference_seq;
