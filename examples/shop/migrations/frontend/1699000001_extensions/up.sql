-- Makes the search of the shop tolerant of typing errors. A convenience: without it, search falls back to prefixes.
do $$
begin
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
exception
  when insufficient_privilege or undefined_file or feature_not_supported then
    raise notice 'pg_trgm is not available: %', sqlerrm;
end
$$;
