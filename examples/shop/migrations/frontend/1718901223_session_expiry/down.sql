drop function if exists end_old_sessions();
drop trigger if exists sessions_expiry on sessions;
drop function if exists sessions_limit_expiry();
