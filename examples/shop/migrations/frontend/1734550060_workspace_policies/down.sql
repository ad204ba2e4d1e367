do $$
declare
  guarded text;
begin
  foreach guarded in array array['site_domains', 'uploads', 'site_pages', 'sites'] loop
    execute format('drop policy if exists %I on %I', guarded || '_of_the_workspace', guarded);
    execute format('alter table %I disable row level security', guarded);
  end loop;
end
$$;
