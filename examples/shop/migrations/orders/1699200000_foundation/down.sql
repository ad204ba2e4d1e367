drop function if exists stamp_change();
drop type if exists order_status;
