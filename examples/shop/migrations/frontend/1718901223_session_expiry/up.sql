create function sessions_limit_expiry() returns trigger
  language plpgsql
as $$
begin
  new.expires_at := least(new.expires_at, now() + interval '30 days');
  return new;
end
$$;

create trigger sessions_expiry
  before insert or update of expires_at on sessions
  for each row execute function sessions_limit_expiry();

create function end_old_sessions() returns bigint
  language sql
as $$
with ended as (
  delete from sessions
   where expires_at < now()
  returning 1
)
select count(*) from ended
$$;
