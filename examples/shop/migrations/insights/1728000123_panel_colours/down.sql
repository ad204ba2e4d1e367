alter table panels drop column if exists colour;
