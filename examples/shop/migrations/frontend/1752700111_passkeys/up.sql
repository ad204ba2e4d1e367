create table passkeys (
  id bigint generated always as identity (start with 1000 increment by 10) primary key,
  user_id bigint not null references users (id) on delete cascade,
  credential bytea not null,
  sign_count bigint not null default 0,
  constraint passkeys_credential_key unique (credential),
  constraint passkeys_sign_count_not_negative check (sign_count >= 0)
);

alter table users
  add column passkey_required boolean not null default false;
