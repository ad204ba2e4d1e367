import pg from 'pg';
import { dataFunctionsSql, readDataProgress } from './sourcegraph-data.js';
import type { Ledger, LedgerAttempt, LedgerOptions, LedgerState } from './ledger.js';

/**
 * Sourcegraph's ledger: one table `migration_logs` per physical database, one row per attempt, told apart by `schema`.
 * Facts from its migrator (internal/database/migration/store): reference sourcegraph-migrator.md §3.1 and §4.3.
 */
export const sourcegraphLedger: Ledger = Object.freeze({
  kind: 'sourcegraph',

  async read(client, options) {
    const query = readLedger(options);
    const result = await client.query<LedgerRow>({ ...query, values: [options.key] }).catch((error: unknown) => {
      if (error instanceof pg.DatabaseError && error.code === UNDEFINED_TABLE) return null;
      throw error;
    });
    if (result === null) return null;
    const states = new Map<string, LedgerState>();
    const attempts = new Map<string, LedgerAttempt>();
    for (const { migration, state, ...attempt } of result.rows) {
      states.set(migration, state);
      attempts.set(migration, attempt);
    }
    return { states, attempts, applied: [...states.keys()].filter((id) => states.get(id) === 'applied') };
  },

  async create(client, options) {
    await client.query(createLedger(options));
  },

  functionsSql: (options) => [ledgerFunctions(options), dataFunctionsSql(options)].join('\n\n'),

  dataProgress: readDataProgress,

  lockKey: (options) => ({ classId: fnv1(`${options.key}:migrations`) % MAX_INT32, objId: 0 }),
} satisfies Ledger);

const UNDEFINED_TABLE = '42P01';
const MAX_INT32 = 0x7fff_ffff;

/** What Sourcegraph writes into `migration_logs_schema_version` since v3.38. */
const ROW_FORMAT = 2;

interface LedgerRow extends LedgerAttempt {
  readonly migration: string;
  readonly state: LedgerState;
}

/** FNV-1, 32 bits: multiply, then xor (FNV-1a does it the other way round). */
export function fnv1(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash, 0x01000193) ^ byte;
  return hash >>> 0;
}

/**
 * One row per id: the attempt that decides. The last one by `id` does, for clocks go back and two attempts can begin in the
 * same microsecond; backfilled rows only where there is no real one. Sourcegraph's own rule goes by `started_at` and
 * passes over failed downs, and so calls a half undone migration applied (fixtures/ledger-states.json compares the two).
 *
 * Tables from before v4 have no column `backfilled`: the bare name in the inner select then means the outer one.
 */
function decidingAttempts(options: LedgerOptions, where: string, columns: string): string {
  return `select distinct on (l.version) ${columns}
    from (values (false)) as older (backfilled)
   cross join lateral (
      select m.id, m.version, m.up, m.started_at, m.finished_at, m.success, m.error_message,
             coalesce(backfilled, false) as backfilled
        from ${tableOf(options)} as m
       where ${where}) as l
   order by l.version, l.backfilled, l.id desc`;
}

const STATE = `case
           when l.success is null then case when l.up then 'up-running' else 'down-running' end
           when l.success then case when l.up then 'applied' else 'absent' end
           else case when l.up then 'up-failed' else 'down-failed' end
         end`;

const utc = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

function readLedger(options: LedgerOptions): { text: string } {
  const columns = `l.version::text as migration,
         ${STATE} as state,
         l.id as "row",
         l.up,
         ${utc('l.started_at')} as "startedAt",
         ${utc('l.finished_at')} as "finishedAt",
         substring(l.error_message from 'SQLSTATE ([0-9A-Z]{5})') as sqlstate,
         l.backfilled`;
  return { text: `-- pg-unwind ledger.read\n${decidingAttempts(options, 'm.schema = $1', columns)}` };
}

/** The statements of the migrator's EnsureSchemaTable, in its order, so that the columns come to lie as its own do. */
function createLedger(options: LedgerOptions): string {
  const table = tableOf(options);
  const columns = [
    'migration_logs_schema_version integer not null',
    'schema text not null',
    'version integer not null',
    'up bool not null',
    'started_at timestamptz not null',
    'finished_at timestamptz',
    'success boolean',
    'error_message text',
    'backfilled boolean not null default false',
  ];
  // One message without transaction control is one transaction.
  return `-- pg-unwind ledger.create
create table if not exists ${table} (id serial primary key);
${columns.map((column) => `alter table ${table} add column if not exists ${column};`).join('\n')}`;
}

function ledgerFunctions(options: LedgerOptions): string {
  const table = tableOf(options);
  const key = pg.escapeLiteral(options.key);
  const ours = `m.schema = ${key}`;
  // Ordered by started_at, Sourcegraph must find our row the newest even when the clock has gone back since the last one.
  const startedAt = (clock: string) => `greatest(${clock},
            (select max(m.started_at) + interval '1 microsecond'
               from ${table} as m
              where ${ours} and m.version = v_version))`;

  return [
    `-- pg-unwind ledger.functions`,
    plpgsql(
      'ledger_version(p_migration text) returns integer immutable',
      `
begin
  if p_migration ~ '^(0|-?[1-9][0-9]{0,9})$' and p_migration::bigint between -2147483648 and 2147483647 then
    return p_migration::integer;
  end if;
  raise exception using
    errcode = 'invalid_parameter_value',
    message = format('%L is no id that %s can hold: its ids are whole numbers of 32 bits. Nothing was changed.',
                     p_migration, ${pg.escapeLiteral(table)}),
    hint = 'Check that the catalog and the ledger''s key in pg-unwind.yaml belong to this database.';
end`,
    ),
    plpgsql(
      'ledger_state(p_migration text) returns text stable',
      `
declare
  v_version integer := pgunwind.ledger_version(p_migration);
begin
  return coalesce((
    ${decidingAttempts(options, `${ours} and m.version = v_version`, STATE)}), 'none');
end`,
    ),
    plpgsql(
      'ledger_applied() returns text[] stable',
      `
begin
  return (
    select coalesce(array_agg(a.version::text order by a.version), '{}')
      from (
        ${decidingAttempts(options, ours, 'l.version, l.up, l.success')}) as a
     where a.up and a.success);
end`,
    ),
    plpgsql(
      'ledger_open() returns table (migration text, state text, started_at timestamptz) stable',
      `
begin
  return query
    select a.version::text, a.state, a.started_at
      from (
        ${decidingAttempts(options, ours, `l.version, ${STATE} as state, l.started_at`)}) as a
     where a.state not in ('applied', 'absent')
     order by a.version;
end`,
    ),
    plpgsql(
      'ledger_begin(p_migration text, p_up boolean) returns bigint volatile',
      `
declare
  v_version integer := pgunwind.ledger_version(p_migration);
  v_row bigint;
begin
  insert into ${table} (migration_logs_schema_version, schema, version, up, started_at)
  values (${ROW_FORMAT}, ${key}, v_version, p_up,
          ${startedAt('clock_timestamp()')})
  returning id into v_row;
  return v_row;
end`,
    ),
    plpgsql(
      'ledger_end(p_migration text, p_up boolean, p_started timestamptz, p_row bigint) returns void volatile',
      `
declare
  v_version integer := pgunwind.ledger_version(p_migration);
begin
  if p_row is null then
    insert into ${table} as l (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
    values (${ROW_FORMAT}, ${key}, v_version, p_up,
            ${startedAt('p_started')},
            clock_timestamp(), true);
    return;
  end if;
  update ${table} as m
     set finished_at = clock_timestamp(), success = true
   where m.id = p_row and ${ours} and m.version = v_version and m.up = p_up and m.success is null;
  if not found then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('Row %s of %s is not the running attempt at %s that pg-unwind wrote. Nothing was changed.',
                       p_row, ${pg.escapeLiteral(table)}, p_migration),
      hint = 'Someone changed or removed the row meanwhile: read it, then find out who.';
  end if;
end`,
    ),
  ].join('\n\n');
}

/** plpgsql, for its bodies are analysed only when they run: the table may come later, and lose or gain `backfilled`. */
function plpgsql(signature: string, body: string): string {
  return `create or replace function pgunwind.${signature}
language plpgsql
set search_path = pg_catalog, pg_temp
as ${pg.escapeLiteral(body)};`;
}

function tableOf(options: LedgerOptions): string {
  return `${pg.escapeIdentifier(options.schema)}.migration_logs`;
}
