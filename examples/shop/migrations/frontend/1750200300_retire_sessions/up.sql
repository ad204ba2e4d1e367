drop table sessions;
drop function end_old_sessions();
drop function sessions_limit_expiry();
