create table versions (
  service text primary key,
  version text not null,
  updated_at timestamptz not null default now(),
  first_version text not null
);

create function versions_keep_first() returns trigger
  language plpgsql
as $$
begin
  new.first_version := new.version;
  return new;
end
$$;

create trigger versions_insert
  before insert on versions
  for each row execute function versions_keep_first();
