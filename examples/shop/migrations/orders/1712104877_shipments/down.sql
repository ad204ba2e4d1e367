drop table if exists shipments;
