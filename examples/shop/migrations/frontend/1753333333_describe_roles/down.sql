-- The comment of 1699430417 does not come back.
comment on column users.role is null;
