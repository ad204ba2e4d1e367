drop function if exists roll_up_day(date);
