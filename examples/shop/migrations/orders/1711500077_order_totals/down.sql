drop view if exists order_totals;
