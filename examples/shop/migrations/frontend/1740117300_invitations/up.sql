create table invitations (
  id uuid primary key default gen_random_uuid(),
  workspace_id bigint not null references workspaces (id) on delete cascade,
  email text not null,
  role user_role not null default 'staff',
  accepted_at timestamptz
);

create unique index invitations_open_key
  on invitations (workspace_id, lower(email))
  where accepted_at is null;
