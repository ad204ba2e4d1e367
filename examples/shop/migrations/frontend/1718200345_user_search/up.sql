alter table users
  add column search tsvector not null
    generated always as (to_tsvector('simple', email || ' ' || display_name)) stored;

create index users_search_idx
  on users using gin (search);
