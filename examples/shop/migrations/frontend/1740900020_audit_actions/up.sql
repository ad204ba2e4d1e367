create type audit_action as enum ('sign in', 'edit page', 'refund', 'export', 'other');

alter table audit_log
  alter column action type audit_action
    using case
      when action in ('sign in', 'edit page', 'refund', 'export') then action::audit_action
      else 'other'
    end;
