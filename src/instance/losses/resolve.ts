import { readFileSync } from 'node:fs';
import type pg from 'pg';
import type { Destruction } from '../../contract/script.js';

const RESOLVE = readFileSync(new URL('./resolve.sql', import.meta.url), 'utf8');

/** What a script names. */
export interface Wanted {
  readonly n: number;
  readonly kind: Destruction['kind'];
  readonly parts: readonly string[];
  readonly cascade: boolean;
}

/** An object of the database: what the script names, or what that takes along. */
export interface Resolved {
  /** Of the `Wanted`. */
  readonly n: number;
  /** The script itself names it. */
  readonly root: boolean;
  /** `rows`: emptied; `rewrite`: changed in place; null: dropped. */
  readonly how: 'rows' | 'rewrite' | null;
  /** As `pg_identify_object` calls it: `table`, `table column`, `view`, … */
  readonly type: string;
  /** `public.users.email` */
  readonly identity: string;
  /** A generated column: the server makes its values of others. */
  readonly computed: boolean;
  /** oid, for a relation or one of its columns. */
  readonly relation: number | null;
  /** `pg_class.relkind` */
  readonly kind: string | null;
  readonly column: string | null;
  /** From the statistics, of all partitions; null: never analysed. */
  readonly rows: number | null;
  /** Of the heap and its TOAST, from the statistics. */
  readonly bytes: number | null;
  /** Of a column: share of nulls, and bytes of a value on average; null without statistics. */
  readonly emptyShare: number | null;
  readonly width: number | null;
}

/** Reads the system catalogs only: no table is locked. */
export async function resolveObjects(client: pg.ClientBase, wanted: readonly Wanted[]): Promise<readonly Resolved[]> {
  if (wanted.length === 0) return [];
  const { rows } = await client.query<Resolved>(RESOLVE, [JSON.stringify(wanted)]);
  return rows;
}
