create table feature_flags (
  name text primary key,
  enabled boolean not null default false,
  rollout numeric(5, 2) not null default 0,
  constraint feature_flags_rollout_range check (rollout between 0 and 100)
);
