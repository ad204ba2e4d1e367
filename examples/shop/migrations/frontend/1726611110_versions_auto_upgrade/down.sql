alter table versions drop column if exists auto_upgrade;
