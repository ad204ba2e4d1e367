alter table audit_log
  alter column action type text using action::text;

drop type audit_action;
