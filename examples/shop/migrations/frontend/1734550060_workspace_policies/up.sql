do $$
declare
  guarded text;
begin
  foreach guarded in array array['sites', 'site_pages', 'uploads', 'site_domains'] loop
    execute format('alter table %I enable row level security', guarded);
    execute format(
      'create policy %I on %I using (workspace_id = nullif(current_setting(%L, true), %L)::bigint)',
      guarded || '_of_the_workspace', guarded, 'shop.workspace_id', '');
  end loop;
end
$$;
