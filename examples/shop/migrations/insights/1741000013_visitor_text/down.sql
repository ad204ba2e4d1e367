-- Fails when a visitor was named by anything but a uuid meanwhile.
alter table page_views
  alter column visitor type uuid using visitor::uuid;
