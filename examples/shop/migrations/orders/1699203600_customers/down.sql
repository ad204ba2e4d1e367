drop table if exists customers;
