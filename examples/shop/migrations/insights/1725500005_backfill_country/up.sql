-- Commits after each batch: the statement must run alone, outside a transaction.
do $$
declare
  next_id bigint := 0;
  last_id bigint;
begin
  select coalesce(max(id), 0) into last_id from page_views;
  while next_id <= last_id loop
    update page_views
       set country = 'XX'
     where id > next_id
       and id <= next_id + 50000
       and country is null;
    next_id := next_id + 50000;
    commit;
  end loop;
end
$$;
