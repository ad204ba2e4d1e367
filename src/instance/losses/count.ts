import pg from 'pg';
import type { Count } from '../../contract/losses.js';
import { limited } from '../../postgres/within.js';
import type { Resolved } from './resolve.js';

export interface CountLimits {
  /** Tables up to this size are read from end to end; of larger ones the statistics must do. Bytes. */
  readonly exactBytes: number;
  /** One table. Milliseconds. */
  readonly queryMs: number;
  /** All tables of one database. Milliseconds. */
  readonly databaseMs: number;
}

export const COUNT_LIMITS: CountLimits = { exactBytes: 256 * 1024 ** 2, queryMs: 10_000, databaseMs: 30_000 };

/** A table with those of its columns that are asked for. */
export interface Counted {
  readonly rows: Count | null;
  readonly bytes: Count | null;
  readonly columns: ReadonlyMap<string, { readonly values: Count | null; readonly bytes: Count | null }>;
}

/** An answer that takes longer than the server's own limit comes from a path that has gone silent. */
const ANSWER_MS = 2_000;

const estimate = (value: number | null): Count | null =>
  value === null ? null : { value: Math.round(value), exact: false };

/**
 * Rows, values and bytes of tables: by reading them where they are small enough and nobody stands in the way, else from the
 * statistics. Small ones first, so that the limit of time leaves out as few as can be.
 * @param objects all of one database; those that are no table, column or materialized view are passed over.
 * @returns by oid; `remarks` says what could not be read.
 * @throws the driver's error when the session is lost.
 */
export async function countTables(
  client: pg.ClientBase,
  objects: readonly Resolved[],
  limits: CountLimits,
): Promise<{ readonly tables: ReadonlyMap<number, Counted>; readonly remarks: readonly string[] }> {
  const relations = new Map<number, Resolved[]>();
  for (const object of objects) {
    if (object.relation === null || !['r', 'p', 'm'].includes(object.kind ?? '')) continue;
    relations.set(object.relation, [...(relations.get(object.relation) ?? []), object]);
  }
  const bySize = [...relations].toSorted(([, [a]], [, [b]]) => (a?.bytes ?? 0) - (b?.bytes ?? 0));
  const tables = new Map<number, Counted>();
  const remarks: string[] = [];
  const until = performance.now() + limits.databaseMs;
  for (const [relation, its] of bySize) {
    const ms = Math.min(limits.queryMs, until - performance.now());
    const guessed = estimated(its);
    if (ms <= 0) remarks.push('not all tables could be counted in time: some figures are estimates');
    const read = ms <= 0 ? null : await readTable(client, relation, its, limits.exactBytes, ms);
    if (typeof read === 'string') remarks.push(read);
    tables.set(relation, read === null || typeof read === 'string' ? guessed : merged(read, guessed));
  }
  return { tables, remarks: [...new Set(remarks)] };
}

function estimated(its: readonly Resolved[]): Counted {
  const [{ rows, bytes } = { rows: null, bytes: null }] = its;
  const columns = its.flatMap(({ column, emptyShare, width }) => {
    if (column === null) return [];
    const values = rows === null || emptyShare === null ? null : rows * (1 - emptyShare);
    const size = values === null || width === null ? null : values * width;
    return [[column, { values: estimate(values), bytes: estimate(size) }] as const];
  });
  return { rows: estimate(rows), bytes: estimate(bytes), columns: new Map(columns) };
}

/** Only the size was read of a large one. */
function merged(read: Counted, guessed: Counted): Counted {
  return read.rows === null ? { ...guessed, bytes: read.bytes } : read;
}

const SIZE = `-- pg-unwind losses.size
select coalesce((select sum(pg_total_relation_size(t.relid)) from pg_partition_tree($1::oid) t where t.isleaf),
                pg_total_relation_size($1::oid))::float8 as bytes,
       n.nspname as schema, c.relname as name, c.relkind = 'r' as plain
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $1::oid`;

/**
 * In a transaction that only reads. With `row_security = off` a policy that would hide rows is an error, not a smaller number.
 * @returns a text: why it could not be read; null: it is gone.
 */
async function readTable(
  client: pg.ClientBase,
  relation: number,
  its: readonly Resolved[],
  exactBytes: number,
  ms: number,
): Promise<Counted | string | null> {
  await client.query(
    `begin read only; set local row_security = off; set local statement_timeout = ${Math.max(1, Math.ceil(ms))}`,
  );
  try {
    const found = await client.query<{ bytes: number; schema: string; name: string; plain: boolean }>(
      limited(ms + ANSWER_MS, SIZE, [relation]),
    );
    const [table] = found.rows;
    if (table === undefined) return null;
    const bytes: Count = { value: table.bytes, exact: true };
    if (table.bytes > exactBytes) return { rows: null, bytes, columns: new Map() };
    const columns = [...new Set(its.flatMap(({ column }) => (column === null ? [] : [column])))];
    const name = `${pg.escapeIdentifier(table.schema)}.${pg.escapeIdentifier(table.name)}`;
    const { rows } = await client.query<Record<string, string | null>>(
      limited(ms + ANSWER_MS, countText(`${table.plain ? 'only ' : ''}${name}`, columns)),
    );
    const row = rows[0] ?? {};
    const exact = (key: string): Count => ({ value: Number(row[key] ?? 0), exact: true });
    return {
      rows: exact('rows'),
      bytes,
      columns: new Map(columns.map((column, at) => [column, { values: exact(`v${at}`), bytes: exact(`b${at}`) }])),
    };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    return `${its[0]?.identity ?? relation} ${whyNot(error.code)}: its figures are estimates`;
  } finally {
    await client.query(limited(ANSWER_MS, 'rollback')).catch(() => undefined); // a session that is lost has told so already
  }
}

function countText(table: string, columns: readonly string[]): string {
  const more = columns.map((column, at) => {
    const name = pg.escapeIdentifier(column);
    return `, count(${name}) as v${at}, sum(pg_column_size(${name})) as b${at}`;
  });
  return `-- pg-unwind losses.count\nselect count(*) as rows${more.join('')} from ${table}`;
}

function whyNot(sqlstate: string | undefined): string {
  if (sqlstate === '57014') return 'could not be counted in time';
  if (sqlstate === '55P03') return 'is locked by somebody';
  if (sqlstate === '42501') return 'hides rows from this role (row-level security, or no right to read)';
  return `could not be read (SQLSTATE ${sqlstate ?? 'unknown'})`;
}
