import pg from 'pg';
import type { DataMigrationId } from '../../contract/catalog.js';
import type { LedgerOptions, Queryable } from './ledger.js';

// Sourcegraph's own record of its data migrations, `out_of_band_migrations`, which is in the frontend's database only: progress, and
// the direction in which its background runner moves the rows (reference sourcegraph-migrator.md §3.4, §5.8). Its own migrator
// turns the direction to reverse and never back, so that a later upgrade runs backwards for ever; ours is turned back at the end.

/** What the product keeps of errors. */
const ERRORS_KEPT = 100;

const UNDEFINED_TABLE = '42P01';

export async function readDataProgress(
  client: Queryable,
  options: LedgerOptions,
): Promise<ReadonlyMap<DataMigrationId, number>> {
  const text = `-- pg-unwind ledger.data-progress
select m.id::text as id, m.progress::float8 as progress
  from ${tableOf(options)} as m
 where m.progress between 0 and 1`;
  try {
    const { rows } = await client.query<{ id: string; progress: number }>(text);
    return new Map(rows.map(({ id, progress }) => [id, progress]));
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === UNDEFINED_TABLE) return new Map();
    throw error;
  }
}

/** Each passes over a table or a row that is not there, and an id that is no number of the table's: then nobody keeps a record. */
export function dataFunctionsSql(options: LedgerOptions): string {
  const table = tableOf(options);
  return [
    `-- pg-unwind ledger.data-functions`,
    noting(
      'ledger_data_begin(p_id text, p_reverse boolean)',
      table,
      `
  update ${table} as m
     set apply_reverse = p_reverse
   where m.id = v_id and m.apply_reverse is distinct from p_reverse;`,
    ),
    noting(
      'ledger_data_progress(p_id text, p_progress double precision)',
      table,
      `
  update ${table} as m
     set progress = p_progress, last_updated = clock_timestamp()
   where m.id = v_id and m.progress is distinct from p_progress;`,
    ),
    noting(
      'ledger_data_end(p_id text, p_progress double precision)',
      table,
      `
  perform pgunwind.ledger_data_progress(p_id, p_progress) where p_progress is not null;
  update ${table} as m
     set apply_reverse = false
   where m.id = v_id and m.apply_reverse;`,
    ),
    noting(
      'ledger_data_error(p_id text, p_message text)',
      errorsOf(options),
      `
  insert into ${errorsOf(options)} (migration_id, message)
  select m.id, p_message from ${table} as m where m.id = v_id;
  delete from ${errorsOf(options)} as e
   where e.migration_id = v_id
     and e.id not in (select k.id from ${errorsOf(options)} as k
                       where k.migration_id = v_id
                       order by k.created desc, k.id desc
                       limit ${ERRORS_KEPT});`,
    ),
  ].join('\n\n');
}

function noting(signature: string, table: string, body: string): string {
  const whole = `
declare
  v_id integer;
begin
  if p_id !~ '^[1-9][0-9]{0,8}$' or to_regclass(${pg.escapeLiteral(table)}) is null then
    return;
  end if;
  v_id := p_id;${body}
end`;
  return `create or replace function pgunwind.${signature} returns void volatile
language plpgsql
set search_path = pg_catalog, pg_temp
as ${pg.escapeLiteral(whole)};`;
}

const tableOf = ({ schema }: LedgerOptions) => `${pg.escapeIdentifier(schema)}.out_of_band_migrations`;
const errorsOf = ({ schema }: LedgerOptions) => `${pg.escapeIdentifier(schema)}.out_of_band_migrations_errors`;
