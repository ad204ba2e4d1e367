alter table panels
  add column colour text not null default '#336699',
  add constraint panels_colour_form check (colour ~ '^#[0-9a-f]{6}$');
