create table sessions (
  token uuid primary key default gen_random_uuid(),
  user_id bigint not null references users (id) on delete cascade,
  user_agent text not null default '',
  expires_at timestamptz not null
);

create index sessions_user_id_idx
  on sessions (user_id);
