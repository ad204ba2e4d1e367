import pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { AloneAction, ObjectName } from '../contract/script.js';
import { dirty } from './failures.js';
import type { Intent } from './failures.js';
import type { StepOrder } from './order.js';

/** What stands before a statement that refuses a transaction, and what an earlier attempt left of it. */
export interface Prepared {
  /** The catalogs already show what the statement is for, and it was ours. */
  readonly done: boolean;
  /** Oid of the table. */
  readonly table: number | null;
  /** Oids of the table's indexes before the statement was first begun. */
  readonly indexes: readonly number[];
  /** Relations whose catalog rows the statement may change. */
  readonly relations: readonly number[];
  /** Statements that clear away an earlier attempt's leftovers first. */
  readonly cures: readonly string[];
  /** Runs in place of the script's statement. */
  readonly instead: string | null;
}

interface IndexRow {
  readonly oid: number;
  readonly name: string;
  readonly qualified: string;
  readonly valid: boolean;
}

const INDEXES_OF = `-- pg-unwind probe.indexes
select i.indexrelid as oid, c.relname as name, i.indexrelid::regclass::text as qualified, i.indisvalid and i.indisready and i.indislive as valid
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
 where i.indrelid = $1
 order by i.indexrelid`;

/** REINDEX goes down to partitions and TOAST tables. */
const INDEXES_BELOW = INDEXES_OF.replace('probe.indexes', 'probe.indexes-below').replace(
  'i.indrelid = $1',
  `i.indrelid in (
    select t.oid
      from pg_class r
     cross join lateral (values (r.oid), (r.reltoastrelid)) as t (oid)
     where r.oid = $1 or r.oid in (select p.relid from pg_partition_tree($1) p))`,
);

const TABLE_OF_INDEX = `-- pg-unwind probe.table-of-index
select i.indexrelid as index, i.indrelid as table from pg_index i where i.indexrelid = to_regclass($1)`;

const RELATION = `-- pg-unwind probe.relation
select to_regclass($1)::oid as oid`;

const PARTITION = `-- pg-unwind probe.partition
select i.inhdetachpending as pending
  from pg_inherits i
 where i.inhrelid = to_regclass($1) and i.inhparent = to_regclass($2)`;

const NOTHING: Prepared = { done: false, table: null, indexes: [], relations: [], cures: [], instead: null };

/**
 * @param earlier the intent that an earlier attempt at this very statement wrote; null for the first.
 * @throws {UnwindError} DirtyDatabase: an INVALID index of that name stood there before us; IF NOT EXISTS would pass over it.
 */
export async function prepareAlone(
  client: pg.ClientBase,
  order: StepOrder,
  action: AloneAction,
  earlier: Intent | null,
): Promise<Prepared> {
  switch (action.kind) {
    case 'createIndex': {
      const table = await oidOf(client, action.table);
      const now = table === null ? [] : await indexesOf(client, table);
      const before = earlier === null ? now.map((index) => index.oid) : earlier.indexes;
      const made = now.filter((index) => !before.includes(index.oid));
      const wanted = action.index === null ? made[0] : now.find((index) => index.name === action.index);
      if (wanted !== undefined && !wanted.valid && before.includes(wanted.oid)) {
        throw dirty(order.database, [
          {
            code: 'invalidIndex',
            database: order.database,
            evidence: `the index ${wanted.qualified}, which ${order.migration} makes, exists already and is invalid`,
            remedy: `It is not of this run. Drop it (drop index concurrently ${wanted.qualified}), then send the update "retryStep".`,
          },
        ]);
      }
      const ours = wanted !== undefined && !before.includes(wanted.oid);
      return {
        ...NOTHING,
        done: ours && wanted.valid,
        table,
        indexes: before,
        relations: made.map((index) => index.oid),
        cures: made.filter((index) => !index.valid).map(dropOf),
      };
    }
    case 'dropIndex': {
      const { rows } = await client.query<{ index: number; table: number }>(TABLE_OF_INDEX, [quoted(action.index)]);
      const found = rows[0];
      if (found === undefined) return { ...NOTHING, done: earlier !== null, table: earlier?.table ?? null };
      // A drop that died half-way left the index invalid: the same statement ends it.
      return { ...NOTHING, table: found.table, indexes: [found.index], relations: [found.index] };
    }
    case 'reindex': {
      const table = await tableOf(client, action);
      if (table === null) return NOTHING;
      const now = await indexesOf(client, table, INDEXES_BELOW);
      const before = earlier === null ? now.map((index) => index.oid) : earlier.indexes;
      const leftovers = now.filter(
        (index) => !before.includes(index.oid) && !index.valid && /_cc(new|old)\d*$/.test(index.name),
      );
      return {
        ...NOTHING,
        table,
        indexes: before,
        relations: now.map((index) => index.oid),
        cures: leftovers.map(dropOf),
      };
    }
    case 'detachPartition': {
      const { rows } = await client.query<{ pending: boolean }>(PARTITION, [
        quoted(action.partition),
        quoted(action.parent),
      ]);
      const partition = await oidOf(client, action.partition);
      const relations =
        partition === null ? [] : [partition, ...(await indexesOf(client, partition)).map((index) => index.oid)];
      if (rows[0] === undefined) return { ...NOTHING, done: earlier !== null, relations };
      return {
        ...NOTHING,
        relations,
        instead: rows[0].pending
          ? `alter table ${quoted(action.parent)} detach partition ${quoted(action.partition)} finalize`
          : null,
      };
    }
    case 'repeatable':
      return NOTHING;
    default:
      return action satisfies never;
  }
}

/**
 * After the statement: do the catalogs show what it is for? `IF NOT EXISTS` passes over an INVALID index without a word.
 * @returns the relations whose catalog rows the statement changed.
 * @throws {UnwindError} StepInterrupted: not as wanted, though the server said yes; the next attempt looks again.
 */
export async function proveAlone(
  client: pg.ClientBase,
  order: StepOrder,
  action: AloneAction,
  before: Prepared,
): Promise<readonly number[]> {
  if (action.kind === 'createIndex') {
    const now = before.table === null ? [] : await indexesOf(client, before.table);
    const made = now.filter((index) => !before.indexes.includes(index.oid));
    const wanted = action.index === null ? made[0] : now.find((index) => index.name === action.index);
    if (wanted === undefined && action.index !== null) await refuseTakenName(client, order, action.index, before.table);
    if (wanted === undefined || !wanted.valid)
      throw notShown(order, action.index ?? 'the new index', wanted === undefined ? 'missing' : 'invalid');
    return made.map((index) => index.oid);
  }
  if (action.kind === 'dropIndex') {
    if ((await oidOf(client, action.index)) !== null) throw notShown(order, quoted(action.index), 'still there');
    return before.relations;
  }
  if (action.kind === 'reindex' && before.table !== null) {
    const now = await indexesOf(client, before.table, INDEXES_BELOW);
    return [...new Set([...before.relations, ...now.map((index) => index.oid)])];
  }
  if (action.kind === 'repeatable') {
    const { rows } = await client.query<{ relations: number[] }>(REWRITTEN, [order.run, order.seq]);
    return rows[0]?.relations ?? [];
  }
  return before.relations;
}

const NAMESAKE = `-- pg-unwind probe.namesake
select c.oid::regclass::text as name, i.indrelid::regclass::text as table
  from pg_class c
  left join pg_index i on i.indexrelid = c.oid
 where c.relname = $1 and c.relnamespace = (select t.relnamespace from pg_class t where t.oid = $2)`;

/**
 * IF NOT EXISTS looks at the name alone: an index of that name on another table, or another relation, and nothing is built.
 * @throws {UnwindError} StepFailed: no repeat finds another name.
 */
async function refuseTakenName(
  client: pg.ClientBase,
  order: StepOrder,
  index: string,
  table: number | null,
): Promise<void> {
  const { rows } = await client.query<{ name: string; table: string | null }>(NAMESAKE, [index, table]);
  const namesake = rows[0];
  if (namesake === undefined) return;
  const what =
    namesake.table === null ? `${namesake.name} is no index` : `${namesake.name} is an index of ${namesake.table}`;
  throw new UnwindError(
    FailureType.StepFailed,
    `${order.migration} ${order.direction} on "${order.database}" built nothing: the name of its index is taken (${what}), and IF NOT EXISTS passed ` +
      'over that. This statement changed nothing. Rename or drop that relation, then send the update "retryStep".',
  );
}

const REWRITTEN = `-- pg-unwind probe.rewritten
select pgunwind.rewritten_relations($1, $2) as relations`;

function notShown(order: StepOrder, what: string, found: string): UnwindError {
  return new UnwindError(
    FailureType.StepInterrupted,
    `The server said yes to the statement of ${order.migration} ${order.direction} on "${order.database}", and ${what} is ${found}. ` +
      'The next attempt looks again.',
  );
}

const dropOf = (index: IndexRow) => `drop index concurrently if exists ${index.qualified}`;

async function tableOf(
  client: pg.ClientBase,
  action: Extract<AloneAction, { kind: 'reindex' }>,
): Promise<number | null> {
  if (action.what === 'table') return oidOf(client, action.object);
  const { rows } = await client.query<{ table: number }>(TABLE_OF_INDEX, [quoted(action.object)]);
  return rows[0]?.table ?? null;
}

async function indexesOf(client: pg.ClientBase, table: number, query = INDEXES_OF): Promise<IndexRow[]> {
  return (await client.query<IndexRow>(query, [table])).rows;
}

async function oidOf(client: pg.ClientBase, name: ObjectName): Promise<number | null> {
  const { rows } = await client.query<{ oid: number | null }>(RELATION, [quoted(name)]);
  return rows[0]?.oid ?? null;
}

function quoted({ schema, name }: ObjectName): string {
  return schema === null ? pg.escapeIdentifier(name) : `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
}
