do $$
begin
  alter table shipments detach partition shipments_2027;
  drop table shipments_2027;
exception
  when undefined_table then
    raise notice 'shipments_2027 is not there any more';
end
$$;
