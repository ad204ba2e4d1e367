alter table versions
  add column auto_upgrade boolean not null default false;
