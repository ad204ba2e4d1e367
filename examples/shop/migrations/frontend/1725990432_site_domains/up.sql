create table site_domains (
  domain text primary key,
  site_id bigint not null references sites (id) on delete cascade,
  verified_at timestamptz,
  updated_at timestamptz not null default now()
);

commit and chain;

create index site_domains_site_id_idx
  on site_domains (site_id);

commit and chain;

create function site_domains_lower() returns trigger
  language plpgsql
as $$
begin
  new.domain := lower(new.domain);
  return new;
end
$$;

create trigger site_domains_lower
  before insert or update on site_domains
  for each row execute function site_domains_lower();
