import { readFileSync } from 'node:fs';
import path from 'node:path';
import type pg from 'pg';
import { describeDifference, type Difference } from '../../src/postgres/fingerprint-difference.js';
import { fixtures } from './shared.js';

/**
 * The differences that fixtures/final-schema.md allows between a database after its downs and one built fresh: read from the
 * document's own tables, and held in both directions. One that does not show is as wrong as one that is not listed.
 */
export interface AllowedDifferences {
  readonly objects: readonly AllowedObject[];
  readonly orders: readonly AllowedOrder[];
  readonly rows: readonly AllowedRows[];
}

interface AllowedObject {
  readonly kind: string;
  readonly object: string;
  readonly expected: string;
  readonly found: string;
}
interface AllowedOrder {
  readonly table: string;
  readonly column: string;
  /** `first`, or the column that it follows. */
  readonly expected: string;
  readonly found: string;
}
interface AllowedRows {
  readonly table: string;
  readonly expected: string;
  readonly found: string;
}

/** Rows by table, without the moments in them; each as JSON, sorted. */
export type Rows = Readonly<Record<string, readonly string[]>>;

const document = () => readFileSync(path.join(fixtures, 'final-schema.md'), 'utf8');

/** Of one direction and database; nothing is allowed where the document has no section. */
export function allowedDifferences(from: string, to: string, database: string): AllowedDifferences {
  const section = sectionOf(document(), `## ${from} → ${to}, ${database}`);
  const objects: AllowedObject[] = [];
  const orders: AllowedOrder[] = [];
  const rows: AllowedRows[] = [];
  let header = '';
  for (const line of section.split('\n')) {
    if (!line.startsWith('|')) header = '';
    else if (header === '') header = cellsOf(line).slice(0, -1).join(' ');
    else if (!line.startsWith('|---')) {
      const [one = '', two = '', three = '', four = ''] = cellsOf(line);
      if (header === 'kind object expected found')
        objects.push({ kind: one, object: two, expected: three, found: four });
      else if (header === 'table column expected found') {
        const position = (cell: string) => cell.replace(/^after /, '');
        orders.push({ table: one, column: two, expected: position(three), found: position(four) });
      } else if (header === 'table expected found') rows.push({ table: one, expected: two, found: three });
      else throw new Error(`final-schema.md has a table of a kind that this test does not know: ${header}`);
    }
  }
  return { objects, orders, rows };
}

/** What the document's summary counts: `3 functions, 1 view, column order of 8 tables`. */
export function summaryOf(from: string, to: string, database: string): string {
  const line = document()
    .split('\n')
    .find((text) => text.startsWith(`| ${from} → ${to} | ${database} |`));
  return line === undefined ? 'no line in the summary' : (cellsOf(line)[3] ?? '');
}

/** The same count of what the tables hold. */
export function countOf({ objects, orders }: AllowedDifferences): string {
  const kinds = [...new Set(objects.map(({ kind }) => kind))].sort();
  const parts = kinds.map((kind) => plural(objects.filter((each) => each.kind === kind).length, kind));
  if (orders.length > 0)
    parts.push(`column order of ${plural(new Set(orders.map(({ table }) => table)).size, 'table')}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

/** Sentences for whatever is not exactly as allowed; none: all is as the document says. */
export function otherThanAllowed(allowed: AllowedDifferences, differences: readonly Difference[]): string[] {
  const left = new Map(differences.map((difference) => [difference.object, difference]));
  const problems: string[] = [];
  const take = (wanted: string, isIt: (key: string) => boolean) => {
    const key = [...left.keys()].find(isIt);
    if (key === undefined) {
      problems.push(`did not show: ${wanted}`);
      return null;
    }
    const difference = left.get(key) as Difference;
    left.delete(key);
    return difference;
  };
  for (const entry of allowed.objects) {
    const difference = take(`${entry.kind} ${entry.object}`, (key) => isKeyOf(key, entry));
    const problem = difference === null ? null : objectProblem(entry, difference);
    if (problem !== null) problems.push(`${entry.kind} ${entry.object}: ${problem}`);
  }
  for (const entry of allowed.orders) {
    const difference = take(`column order of ${entry.table}`, (key) => key === `columnOrder public.${entry.table}`);
    const problem = difference === null ? null : orderProblem(entry, difference);
    if (problem !== null) problems.push(`column order of ${entry.table}: ${problem}`);
  }
  return [...problems, ...[...left.values()].map((difference) => `not allowed: ${describeDifference(difference)}`)];
}

/** The same for the rows that migrations insert. */
export function otherRowsThanAllowed(allowed: AllowedDifferences, expected: Rows, found: Rows): string[] {
  const differing = new Set(
    [...new Set([...Object.keys(expected), ...Object.keys(found)])].filter(
      (table) => JSON.stringify(expected[table] ?? []) !== JSON.stringify(found[table] ?? []),
    ),
  );
  const problems: string[] = [];
  for (const { table, ...said } of allowed.rows) {
    if (!differing.delete(table)) {
      problems.push(`rows of ${table}: did not show`);
      continue;
    }
    for (const [side, rows] of [['expected', expected[table] ?? []] as const, ['found', found[table] ?? []] as const]) {
      const shown = rowsAsSaid(said[side], rows);
      if (shown !== said[side]) problems.push(`rows of ${table}, ${side}: "${shown}" instead of "${said[side]}"`);
    }
    const column = columnIn(said.expected);
    if (column === null) continue;
    const without = (rows: readonly string[] = []) =>
      rows.map((row) => JSON.stringify({ ...(JSON.parse(row) as object), [column]: undefined })).sort();
    if (JSON.stringify(without(expected[table])) !== JSON.stringify(without(found[table]))) {
      problems.push(`rows of ${table}: differ in more than ${column}`);
    }
  }
  return [
    ...problems,
    ...[...differing].map((table) => {
      const [before, after] = [expected[table] ?? [], found[table] ?? []];
      const one = before.find((row) => !after.includes(row)) ?? 'none';
      const other = after.find((row) => !before.includes(row)) ?? 'none';
      return `rows of ${table} not allowed: ${before.length} expected, ${after.length} found; first of each: ${one}; ${other}`;
    }),
  ];
}

const TABLES = `-- pg-unwind test tables
select c.relname as name,
       array(select quote_literal(a.attname) from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype)) as moments
  from pg_class c
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
   and c.relname <> all ($1)`;

/** All rows of schema public; as superuser, for policies hide rows. */
export async function readRows(client: pg.ClientBase, leaveOut: readonly string[]): Promise<Rows> {
  const tables = await client.query<{ name: string; moments: string[] }>(TABLES, [leaveOut]);
  const rows: Record<string, string[]> = {};
  for (const { name, moments } of tables.rows) {
    const table = `public."${name}"`;
    const found = await client.query<{ row: string }>(
      `select (to_jsonb(t) - array[${moments.join(', ')}]::text[])::text as row from ${table} as t`,
    );
    if (found.rows.length > 0) rows[name] = found.rows.map(({ row }) => row).sort();
  }
  return rows;
}

function sectionOf(text: string, heading: string): string {
  const lines = text.split('\n');
  const start = lines.indexOf(heading);
  if (start === -1) return '';
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith('## '));
  return lines.slice(start + 1, length === -1 ? undefined : start + 1 + length).join('\n');
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''));
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function isKeyOf(key: string, { kind, object }: AllowedObject): boolean {
  if (kind !== 'comment') return key === `${kind} public.${object}`;
  const [, what = '', name = ''] = /^(table column|index) public\.(\S+)$/.exec(object) ?? [];
  return what === 'index' ? key.startsWith(`comment index ${name} on `) : key === `comment column public.${name}`;
}

function objectProblem({ kind, object, expected, found }: AllowedObject, difference: Difference): string | null {
  const shows = describeDifference(difference);
  if (kind === 'comment') {
    const text = expected.replace(/^"|"$/g, '');
    if (difference.kind !== 'missing' || found !== 'no comment') return shows;
    return difference.expected === text ? null : `the lost comment says "${difference.expected ?? ''}"`;
  }
  if (kind === 'view') {
    if (difference.kind !== 'extra' || expected !== 'no such view') return shows;
    const text = fenced(new RegExp(`Left over view \`${object}\`[^]*?\`\`\`sql\\n([^]*?)\`\`\``));
    return layoutFree(difference.found ?? '').includes(layoutFree(text)) ? null : 'its definition is another one';
  }
  if (kind === 'function') {
    if (difference.whitespace !== true) return shows;
    const escaped = object.replace(/[()]/g, '\\$&');
    const text = fenced(new RegExp(`Function \`${escaped}\`[^]*?\`\`\`\\n([^]*?)\`\`\``));
    for (const side of ['expected', 'found'] as const) {
      const line = text.split('\n').find((each) => each.startsWith(side)) ?? '';
      const body = JSON.parse(line.slice(side.length)) as string;
      if (!(difference[side] ?? '').includes(body)) return `the body ${side} is another one`;
    }
    return null;
  }
  return `a kind of difference that this test does not know (${shows})`;
}

function orderProblem({ column, expected, found }: AllowedOrder, difference: Difference): string | null {
  const [before, after] = [difference.expected ?? '', difference.found ?? ''].map((order) => order.split(', '));
  const place = (columns: readonly string[] = []) => {
    const at = columns.indexOf(column);
    return at === 0 ? 'first' : (columns[at - 1] ?? 'nowhere');
  };
  const others = (columns: readonly string[] = []) => columns.filter((each) => each !== column).join();
  if (place(before) !== expected) return `${column} is expected after ${place(before)}, not ${expected}`;
  if (place(after) !== found) return `${column} is found after ${place(after)}, not ${found}`;
  return others(before) === others(after) ? null : `more columns than ${column} have moved`;
}

/** Says of the rows what the document says of them, in its words. */
function rowsAsSaid(said: string, rows: readonly string[]): string {
  const count = rows.length === 0 ? 'no row' : plural(rows.length, 'row');
  const column = columnIn(said);
  if (column === null) return count;
  const values = new Set(rows.map((row) => String((JSON.parse(row) as Record<string, unknown>)[column])));
  return `${count}, ${column} ${[...values].join(' or ')}`;
}

function columnIn(said: string): string | null {
  return /^\d+ rows?, (\w+) /.exec(said)?.[1] ?? null;
}

function fenced(pattern: RegExp): string {
  const text = pattern.exec(document())?.[1];
  if (text === undefined) throw new Error(`final-schema.md has no text for ${String(pattern)}`);
  return text.trim();
}

function layoutFree(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replace(/;$/, '');
}
