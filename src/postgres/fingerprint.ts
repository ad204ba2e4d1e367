import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ClientBase } from 'pg';
import { limited } from './within.js';

/**
 * What stands before the first blank of an object's key. The name after it is qualified and quoted as SQL would have it:
 * `table public.users` · `column public.users.id` · `index users_name on public.users` · `function public.f(integer)` ·
 * `comment column public.users.id` · `privileges table public.users`.
 */
export type ObjectClass =
  | 'extension'
  | 'schema'
  | 'table'
  | 'foreignTable'
  | 'view'
  | 'materializedView'
  | 'column'
  | 'columnOrder'
  | 'rowSecurity'
  | 'constraint'
  | 'index'
  | 'trigger'
  | 'policy'
  | 'rule'
  | 'sequence'
  | 'statistics'
  | 'function'
  | 'aggregate'
  | 'enum'
  | 'domain'
  | 'compositeType'
  | 'rangeType'
  | 'baseType'
  | 'comment'
  | 'privileges';

/** A canonical description of a database's schema: the same objects give the same bytes, whatever made them and in which order. */
export interface Fingerprint {
  readonly fingerprintFormat: 1;
  /** `compact` holds hashes instead of texts: enough to say which objects differ, not how. */
  readonly form: 'full' | 'compact';
  /** Of the server that described it. Majors word some definitions differently: compare within one. */
  readonly serverMajor: number;
  /** By key, ascending by code unit. */
  readonly objects: Readonly<Record<string, string>>;
  /** Hex sha-256 over the objects' full texts; kept by the compact form. */
  readonly hash: string;
}

export interface FingerprintOptions {
  /** Only these; by default all but `pg_*`, `information_schema` and `pgunwind`. */
  readonly schemas?: readonly string[];
  /** Relations to leave out with all that hangs on them, as `name` or `schema.name`, unquoted: the product's ledger. */
  readonly ignore?: readonly string[];
}

const OBJECTS = {
  name: 'fingerprint.objects',
  text: readFileSync(new URL('./fingerprint-objects.sql', import.meta.url), 'utf8'),
} as const;

/**
 * The settings are those that change the words of pg_get_…def: with only pg_catalog on the path every other name is
 * qualified, and literals in defaults are written with the session's formats. JIT would compile the query for longer
 * than it runs.
 */
const BEGIN = {
  name: 'fingerprint.begin',
  text: `-- pg-unwind fingerprint.begin
begin transaction isolation level repeatable read, read only;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;
set local datestyle = 'ISO, MDY';
set local intervalstyle = 'postgres';
set local timezone = 'UTC';
set local extra_float_digits = 1;
set local bytea_output = 'hex';
set local lc_monetary = 'C';
set local standard_conforming_strings = on;
set local jit = off;
select current_setting('server_version_num')::integer / 10000 as major`,
} as const;

/** Every object of every schema: two seconds for 1,800 relations and their columns on a slow machine, and there are larger ones. */
const DESCRIBING_MS = 240_000;

const END = { name: 'fingerprint.end', text: '-- pg-unwind fingerprint.end\nrollback' } as const;

/**
 * Describes the schema from one snapshot in three round trips, with no more rights than to connect. The client must not be
 * in a transaction. Rows, sequence positions, statistics and whether a materialized view is filled are no part of it.
 */
export async function readFingerprint(
  client: Pick<ClientBase, 'query'>,
  { schemas, ignore = [] }: FingerprintOptions = {},
): Promise<Fingerprint> {
  try {
    const begun = (await client.query(BEGIN.text)) as unknown as { rows: { major: number }[] }[]; // one result a statement
    const { rows } = await client.query<{ object: string; text: string }>(
      limited(DESCRIBING_MS, OBJECTS.text, [schemas ?? null, ignore]),
    );
    const objects = new Map(rows.map(({ object, text }) => [object, text]));
    if (objects.size !== rows.length) throw new Error('Two objects of the database have one name in the fingerprint.');
    const sorted = [...objects].sort(([left], [right]) => (left < right ? -1 : 1));
    await client.query(END.text);
    return {
      fingerprintFormat: 1,
      form: 'full',
      serverMajor: begun.at(-1)?.rows[0]?.major ?? 0,
      objects: Object.fromEntries(sorted),
      hash: sha256(JSON.stringify(sorted)),
    };
  } catch (error) {
    await client.query(END.text).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

/** For storage: 16 hex digits an object. A function keeps a second hash, which does not see its white space. */
export function compactFingerprint(full: Fingerprint): Fingerprint {
  if (full.form === 'compact') return full;
  const objects = Object.entries(full.objects).map(([key, text]) => {
    const hash = sha256(text).slice(0, 16);
    const isFunction = classOf(key) === 'function';
    return [key, isFunction ? `${hash}~${sha256(withoutLayout(text)).slice(0, 16)}` : hash] as const;
  });
  return { ...full, form: 'compact', objects: Object.fromEntries(objects) };
}

export function classOf(key: string): ObjectClass {
  return key.slice(0, key.indexOf(' ')) as ObjectClass; // the SQL writes the keys
}

/**
 * A function's text with its layout evened out. Literals, quoted names and the ends of line comments are left alone, because
 * there white space means something.
 */
export function withoutLayout(text: string): string {
  return text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*(?:\n\s*)?|\s+/g, (piece) => {
    if (piece.startsWith("'") || piece.startsWith('"')) return piece;
    return piece.startsWith('--') ? `${piece.trimEnd()}\n` : ' ';
  });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
