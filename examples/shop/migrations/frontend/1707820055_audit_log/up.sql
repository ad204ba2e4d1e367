create sequence audit_log_id_seq;

create table audit_log (
  id bigint not null default nextval('audit_log_id_seq'),
  occurred_on date not null,
  actor_id bigint references users (id) on delete set null,
  action text not null,
  details jsonb not null default '{}',
  primary key (id, occurred_on)
) partition by range (occurred_on);

alter sequence audit_log_id_seq owned by audit_log.id;

create index audit_log_actor_id_idx
  on audit_log (actor_id, occurred_on);

do $$
begin
  for year in 2023..2027 loop
    execute format(
      'create table %I partition of audit_log for values from (%L) to (%L)',
      'audit_log_' || year, make_date(year, 1, 1), make_date(year + 1, 1, 1));
  end loop;
end
$$;
