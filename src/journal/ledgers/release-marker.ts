import pg from 'pg';
import { parseVersion } from '../../catalog/version.js';
import type { Queryable } from './ledger.js';

/** Where the product itself notes which release it is: Sourcegraph's `versions` (reference sourcegraph-migrator.md §3.3). */
export interface MarkerOptions {
  readonly schema: string;
  /** The row: Sourcegraph uses `frontend`. */
  readonly service: string;
}

export type MarkerReading =
  | { readonly kind: 'found'; readonly version: string; /** ISO 8601, UTC. */ readonly updatedAt: string }
  /** The table comes with a migration: a young or emptied database has none. */
  | { readonly kind: 'noTable' }
  /** The product has never started on this database. */
  | { readonly kind: 'noRow' };

/** What `pgunwind.write_release_marker` answers; only `written` changed a row. */
export type MarkerWritten = 'written' | 'noTable' | 'noRow';

/**
 * `{major}.{minor}.0`, which Sourcegraph's migrator writes after a multi-version move, whatever the patch: `5.8.0` for
 * `v5.8.1579`. The product writes its full version when it starts. Null for a label that is no version.
 */
export function markerOf(label: string): string | null {
  const version = parseVersion(label);
  return version === null ? null : `${version.major}.${version.minor}.0`;
}

/** One round trip. Where the table is missing, an open transaction is aborted: read outside of one. */
export async function readReleaseMarker(client: Queryable, options: MarkerOptions): Promise<MarkerReading> {
  const query = readMarker(options);
  try {
    const { rows } = await client.query<{ version: string; updatedAt: string }>({
      ...query,
      values: [options.service],
    });
    return rows[0] === undefined ? { kind: 'noRow' } : { kind: 'found', ...rows[0] };
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === UNDEFINED_TABLE) return { kind: 'noTable' };
    throw error;
  }
}

/** The version that the instance was born with; null where the product does not say. One round trip, outside of a transaction. */
export async function readFirstVersion(client: Queryable, options: MarkerOptions): Promise<string | null> {
  const text = `-- pg-unwind release-marker.first-version
select v.first_version as first
  from ${tableOf(options)} as v
 where v.service = $1`;
  try {
    const { rows } = await client.query<{ first: string | null }>(text, [options.service]);
    return rows[0]?.first ?? null;
  } catch (error) {
    if (error instanceof pg.DatabaseError && (error.code === UNDEFINED_TABLE || error.code === UNDEFINED_COLUMN))
      return null;
    throw error;
  }
}

/** Young tables have no `first_version`. */
const UNDEFINED_COLUMN = '42703';
const UNDEFINED_TABLE = '42P01';

function readMarker(options: MarkerOptions): { text: string } {
  return {
    text: `-- pg-unwind release-marker.read
select v.version, to_char(v.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "updatedAt"
  from ${tableOf(options)} as v
 where v.service = $1`,
  };
}

/**
 * SQL text that installs `pgunwind.write_release_marker(p_version text) returns text`, idempotent. The function answers a
 * MarkerWritten and belongs into the transaction that closes the leg in the journal. It never inserts: the row's first
 * writer is the product, which also fills `first_version`.
 */
export function markerFunctionSql(options: MarkerOptions): string {
  const table = tableOf(options);
  const body = `
begin
  if to_regclass(${pg.escapeLiteral(table)}) is null then
    return 'noTable';
  end if;
  update ${table} as v
     set version = p_version, updated_at = clock_timestamp()
   where v.service = ${pg.escapeLiteral(options.service)};
  return case when found then 'written' else 'noRow' end;
end`;
  return `-- pg-unwind release-marker.function
create or replace function pgunwind.write_release_marker(p_version text) returns text volatile
language plpgsql
set search_path = pg_catalog, pg_temp
as ${pg.escapeLiteral(body)};`;
}

function tableOf(options: MarkerOptions): string {
  return `${pg.escapeIdentifier(options.schema)}.versions`;
}
