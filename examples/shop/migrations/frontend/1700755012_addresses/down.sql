drop table if exists addresses;
