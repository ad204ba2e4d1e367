-- pg-unwind journal.schema, version 1. Every statement is idempotent; installed under our advisory lock in one transaction.
create schema if not exists pgunwind;

create table if not exists pgunwind.meta (
  key text primary key,
  value text not null
);

-- Immutable. `body` is the plan's canonical JSON: its sha-256 without the id is the id.
create table if not exists pgunwind.plan (
  id text primary key,
  body text not null,
  created_at timestamptz not null default clock_timestamp()
);

-- This database's steps of a plan, as rows, so that the guards can compare without parsing the body.
create table if not exists pgunwind.plan_step (
  plan text not null references pgunwind.plan,
  seq integer not null,
  leg integer not null,
  migration text not null,
  name text not null,
  direction text not null check (direction in ('down', 'up')),
  execution text not null check (execution in ('atomic', 'segmented', 'concurrent', 'opaque', 'empty')),
  script text not null,
  ledger text not null check (ledger in ('row', 'implied', 'absent')),
  primary key (plan, seq)
);

create table if not exists pgunwind.script (
  sha256 text primary key,
  body text not null,
  facts jsonb not null
);

-- One passage through a plan in this database. Open while ended_at is null.
create table if not exists pgunwind.run (
  run uuid primary key,
  plan text not null references pgunwind.plan,
  instance text not null,
  direction text not null,
  target text not null,
  namespace text not null,
  workflow_id text not null,
  -- Ids that the ledger called applied when the plan was made; with the done steps they give the set expected now.
  base text[] not null,
  -- Indexes that were already invalid then, and those that an operator has accepted since.
  base_invalid oid[] not null,
  planned_at timestamptz not null default clock_timestamp(),
  -- The first claim; null: planned, perhaps waiting for approval, nothing done.
  claimed_at timestamptz,
  ended_at timestamptz,
  state text not null default 'open' check (state in ('open', 'completed', 'aborted', 'cancelled', 'superseded'))
);
create index if not exists run_open on pgunwind.run (planned_at) where ended_at is null;
create index if not exists run_planned on pgunwind.run (planned_at);

create table if not exists pgunwind.step (
  run uuid not null references pgunwind.run,
  seq integer not null,
  leg integer not null,
  migration text not null,
  direction text not null,
  script text not null,
  execution text not null,
  -- settled: it began in a run that is over, and the product's ledger has been brought to one side or the other since.
  state text not null check (state in ('started', 'done', 'settled')),
  -- Units of the script whose effect is durable.
  unit integer not null default 0,
  attempt integer not null,
  token uuid not null,
  pid integer not null,
  backend_start timestamptz not null,
  -- Transactions of ours that may have written to the catalogs, sub-transactions included.
  xids xid8[] not null,
  -- The pending row of the product's ledger (scripts of several transactions only).
  ledger_row bigint,
  -- What the next statement that refuses a transaction is about to do, and what stood before.
  intent jsonb,
  -- The last clean check: what it saw, and how many rows each system catalog had.
  check_snapshot pg_snapshot,
  check_counts bigint[],
  -- Rows that we added to each catalog minus those that we removed; before the end: the counters at the beginning.
  delta bigint[],
  -- Instead of delta: rows counted afresh when the step ended, or when an operator accepted what others had changed.
  counts bigint[],
  -- Relations whose catalog rows a statement outside a transaction may have changed.
  own_relations oid[] not null default '{}',
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  result jsonb,
  primary key (run, seq)
);
create index if not exists step_started on pgunwind.step (run) where state = 'started';

-- This database's data migrations of a plan: after the leg's steps, before its release is recorded.
create table if not exists pgunwind.plan_data (
  plan text not null references pgunwind.plan,
  leg integer not null,
  id text not null,
  act text not null check (act in ('forward', 'reverse', 'leave', 'lose')),
  -- What moves a batch: the hash of a query, or the name of an activity; null: nothing is moved.
  batch text,
  primary key (plan, leg, id)
);

-- One data migration of a run on its way to one of its ends. A batch changes this row in its own transaction, so what the row
-- says of the cursor is what has taken effect.
create table if not exists pgunwind.data_step (
  run uuid not null references pgunwind.run,
  leg integer not null,
  id text not null,
  act text not null,
  state text not null check (state in ('started', 'done')),
  -- Where the next batch begins; null: at the beginning.
  cursor text,
  batches bigint not null default 0,
  rows bigint not null default 0,
  -- As computed from the data: at the first attempt's start, and the last time that it was asked for.
  first_progress double precision,
  progress double precision,
  attempt integer not null,
  token uuid not null,
  pid integer not null,
  -- Key of the product's own migration lock: handlers of the product's own take it without knowing it.
  product_class integer,
  product_object integer,
  started_at timestamptz not null default clock_timestamp(),
  batch_at timestamptz,
  finished_at timestamptz,
  result jsonb,
  primary key (run, leg, id)
);

-- Failed batches, for people. Like pgunwind.failure it may hold row values, and so may a cursor.
create table if not exists pgunwind.data_failure (
  id bigint generated always as identity primary key,
  run uuid not null,
  leg integer not null,
  data text not null,
  attempt integer not null,
  at timestamptz not null default clock_timestamp(),
  cursor text,
  size integer not null,
  sqlstate text,
  message text not null,
  detail text
);

-- Failed attempts, for people. SQL errors may hold row values: they stay in this database.
create table if not exists pgunwind.failure (
  id bigint generated always as identity primary key,
  run uuid not null,
  seq integer not null,
  attempt integer not null,
  at timestamptz not null default clock_timestamp(),
  sqlstate text,
  statement integer,
  message text not null,
  detail text
);

-- Sessions that were ended because a step needed their locks: by the operator's policy, or the migration's own flag.
create table if not exists pgunwind.ended_session (
  id bigint generated always as identity primary key,
  run uuid not null,
  seq integer not null,
  attempt integer not null,
  at timestamptz not null default clock_timestamp(),
  policy text not null check (policy in ('terminateIdle', 'terminate')),
  pid integer not null,
  backend_start timestamptz,
  application text,
  username text,
  client text,
  state text,
  since timestamptz
);

create table if not exists pgunwind.notice (
  run uuid not null,
  seq integer not null,
  ordinal integer not null,
  severity text not null,
  sqlstate text,
  message text not null,
  primary key (run, seq, ordinal)
);

-- One row. The token is a uuid, not a number: a failover that loses commits could issue a number twice.
create table if not exists pgunwind.fence (
  one boolean primary key default true check (one),
  token uuid,
  namespace text,
  workflow_id text,
  run uuid,
  issued_at timestamptz not null default clock_timestamp()
);
insert into pgunwind.fence (one) values (true) on conflict do nothing;

-- Every token that was issued here: a session that carries another is not ours, and nobody ends it.
create table if not exists pgunwind.issued (
  token uuid primary key,
  run uuid not null,
  at timestamptz not null default clock_timestamp()
);

-- Release boundaries that this database has passed.
create table if not exists pgunwind.leg (
  run uuid not null references pgunwind.run,
  leg integer not null,
  release text not null,
  marker text,
  closed_at timestamptz not null default clock_timestamp(),
  primary key (run, leg)
);

-- Hooks of the operator's own that have answered this run: none of them is called again.
create table if not exists pgunwind.hook (
  run uuid not null,
  -- The idempotency key of its calls: run, hook and, of a stop, leg.
  key text not null,
  hook text not null,
  answer text not null check (answer in ('done', 'later')),
  answered_at timestamptz not null default clock_timestamp(),
  primary key (run, key)
);

create table if not exists pgunwind.decision (
  id bigint generated always as identity primary key,
  run uuid not null,
  plan text,
  at timestamptz not null,
  kind text not null,
  decided_by text,
  why text,
  details jsonb not null
);

-- What a dirty check had found and an operator has accepted; the decision is beside it, written in the same transaction.
create table if not exists pgunwind.accepted (
  id bigint generated always as identity primary key,
  run uuid not null references pgunwind.run,
  -- Of the boundary where it was found; null: at a step.
  leg integer,
  code text not null,
  -- Tells this very finding from any other of its code.
  mark text not null,
  data jsonb not null,
  at timestamptz not null default clock_timestamp()
);

-- What consent to a run's plan was asked for: what it would lose of this database, each time that it was counted. Figures only.
create table if not exists pgunwind.loss_report (
  run uuid not null,
  taken_at timestamptz not null,
  losses jsonb not null,
  primary key (run, taken_at)
);

-- Where a point-in-time restore has to go: before the first leg of a run that destroys.
create table if not exists pgunwind.restore_point (
  run uuid primary key,
  leg integer not null,
  at timestamptz not null,
  lsn pg_lsn not null,
  timeline integer not null,
  -- null: this role may not name one, or wal_level is minimal.
  name text
);

-- Servers that this journal has been seen on; a lower timeline than one seen is an old primary.
create table if not exists pgunwind.server (
  system_identifier text not null,
  database oid not null,
  timeline integer not null,
  first_seen timestamptz not null default clock_timestamp(),
  primary key (system_identifier, database, timeline)
);

-- What the schema looked like at a release boundary, compact: object name to hash.
create table if not exists pgunwind.fingerprint (
  set_hash text not null,
  taken_at timestamptz not null default clock_timestamp(),
  run uuid not null,
  release text not null,
  objects jsonb not null,
  primary key (set_hash, run)
);
