alter table users drop column if exists passkey_required;
drop table if exists passkeys;
