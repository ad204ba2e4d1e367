-- Everybody has to sign in again.
create table if not exists sessions (
  token uuid primary key default gen_random_uuid(),
  user_id bigint not null references users (id) on delete cascade,
  user_agent text not null default '',
  expires_at timestamptz not null,
  workspace_id bigint not null default 1 references workspaces (id)
);

create index if not exists sessions_user_id_idx
  on sessions (user_id);

create or replace function sessions_limit_expiry() returns trigger
  language plpgsql
as $$
begin
  new.expires_at := least(new.expires_at, now() + interval '30 days');
  return new;
end
$$;

create or replace trigger sessions_expiry
  before insert or update of expires_at on sessions
  for each row execute function sessions_limit_expiry();

create or replace function end_old_sessions() returns bigint
  language sql
as $$
with ended as (
  delete from sessions
   where expires_at < now()
  returning 1
)
select count(*) from ended
$$;
