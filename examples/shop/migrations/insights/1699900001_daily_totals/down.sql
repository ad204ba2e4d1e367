drop table if exists daily_totals;
