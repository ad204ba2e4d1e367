import type { Direction } from '../../../src/contract/plan.js';
import type { Migration } from './case.js';

/** A part of a script that is durable by itself. */
export interface Segment {
  /** What it must be sent as: a transaction, or a statement that refuses one. */
  readonly kind: 'transaction' | 'alone';
  readonly statements: readonly string[];
  /** What finishes the part where its session is gone; the statements themselves by default. */
  readonly byHand?: readonly string[];
  /** What it must have left in the witness table, once and only once. */
  readonly witness: readonly string[];
}

export interface Script {
  readonly segments: readonly Segment[];
  readonly text: string;
}

/**
 * Every part of every script leaves a row here: a second effect cannot hide. Statements that refuse a transaction cannot
 * insert; an event trigger does it for them, in the very transaction that makes their effect visible.
 */
export const WITNESS = `
create table witness (
  what text not null,
  xid xid8 not null default pg_current_xact_id(),
  pid integer not null default pg_backend_pid(),
  at timestamptz not null default clock_timestamp());
create function witness_ddl() returns event_trigger language plpgsql as $$
declare
  each record;
begin
  if current_query() !~* 'concurrently|finalize' or current_query() ~* 'reindex' then
    return;
  end if;
  if tg_event = 'sql_drop' then
    for each in select * from pg_event_trigger_dropped_objects() where original and object_name ~ '^i[0-9]+$' loop
      insert into public.witness (what) values ('drop ' || each.object_name);
    end loop;
  else
    for each in select * from pg_event_trigger_ddl_commands() where object_identity ~ '^public[.][it][0-9]+$' loop
      insert into public.witness (what) values (lower(split_part(each.command_tag, ' ', 1)) || ' ' || split_part(each.object_identity, '.', 2));
    end loop;
  end if;
end $$;`;

/** By a superuser, when the start is built: before the run, so that nothing of it is news to a check. */
export const EVENT_TRIGGERS = `
create event trigger witness_end on ddl_command_end execute function witness_ddl();
create event trigger witness_drop on sql_drop execute function witness_ddl();`;

/** Rows of the table that every migration shares: enough for an index to be worth a look, and for a lock to be in the way. */
const BASE = `create table base (id integer primary key, v integer not null, w integer not null);
insert into base select n, n % 7, n % 11 from generate_series(1, 500) n;`;

export function scriptOf(migration: Migration, direction: Direction): Script {
  const write = WAYS[migration.kind];
  const segments = migration.parents.length === 0 ? root(migration, direction) : write(migration, direction);
  return { segments, text: textOf(migration, segments) };
}

function textOf({ kind, variant }: Migration, segments: readonly Segment[]): string {
  if (segments.length === 0) return '-- nothing to be done';
  const between =
    kind === 'segmented' || kind === 'bound' ? (variant % 2 === 0 ? 'COMMIT AND CHAIN;\n' : 'COMMIT;\nBEGIN;\n') : '';
  const text = segments.map(({ statements }) => `${statements.map((each) => `${each};\n`).join('')}`).join(between);
  const framed = segments.every((segment) => segment.kind === 'transaction') && variant >= 2;
  return framed ? `BEGIN;\n${text}COMMIT;` : text;
}

type Way = (migration: Migration, direction: Direction) => Segment[];

const mark = (id: number, direction: Direction, part: number) => `${id} ${direction} ${part}`;
const saw = (what: string) => `insert into witness (what) values ('${what}')`;
const nap = ({ sleepMs }: Migration) => (sleepMs === 0 ? [] : [`select pg_sleep(${sleepMs / 1000})`]);

function part(migration: Migration, direction: Direction, number: number, ...statements: string[]): Segment {
  const what = mark(migration.id, direction, number);
  // Before or after the sleep: a death in between must leave neither.
  const order = (migration.variant + number) % 2 === 0;
  const all = order ? [saw(what), ...nap(migration), ...statements] : [...statements, ...nap(migration), saw(what)];
  return { kind: 'transaction', statements: all, witness: [what] };
}

function root(migration: Migration, direction: Direction): Segment[] {
  return [
    direction === 'up'
      ? part(migration, direction, 1, ...BASE.split(';\n').map((statement) => statement.replace(/;$/, '')))
      : part(migration, direction, 1, 'drop table base'),
  ];
}

const table = (id: number) => `t${id}`;
const index = (id: number) => `i${id}`;
/** Something of the shared table changes too, so that a lock on it is in the way. */
const touch = ({ id }: Migration, by: number) => `update base set w = w + (${by}) where id = ${(id % 400) + 1}`;

const WAYS: Readonly<Record<Migration['kind'], Way>> = {
  atomic(migration, direction) {
    const { id, variant } = migration;
    const column = `c${id}`;
    const up = [
      `create table ${table(id)} (id bigint generated always as identity primary key, v integer)`,
      `insert into ${table(id)} (v) select n from generate_series(1, 20) n`,
      touch(migration, 1),
      ...(variant % 2 === 1 ? [`alter table base add column ${column} integer not null default ${id}`] : []),
    ];
    const down = [
      ...(variant % 2 === 1 ? [`alter table base drop column ${column}`] : []),
      touch(migration, -1),
      `drop table ${table(id)}`,
    ];
    return [part(migration, direction, 1, ...(direction === 'up' ? up : down))];
  },

  guarded(migration, direction) {
    const { id } = migration;
    const undone = [
      'savepoint here',
      `create table u${id} (n integer)`,
      'rollback to savepoint here',
      `create temporary table temp${id} on commit drop as select n from generate_series(1, 5) n`,
      `do $$ begin begin create table w${id} (n integer); raise exception 'as meant'; exception when raise_exception then null; end; ` +
        `begin perform 1; exception when others then raise; end; end $$`,
    ];
    const own =
      direction === 'up'
        ? [`create table ${table(id)} as select n from temp${id}`, `create type e${id} as enum ('a', 'b')`]
        : [`drop type e${id}`, `drop table ${table(id)}`];
    return [part(migration, direction, 1, ...undone, ...own)];
  },

  segmented(migration, direction) {
    const { id, segments } = migration;
    return Array.from({ length: segments }, (_, at) => {
      // Up makes column 1, 2, 3 …; down takes them away from the last.
      const column = direction === 'up' ? at + 1 : segments - at;
      if (column === 1) {
        const own = direction === 'up' ? `create table ${table(id)} (c1 integer)` : `drop table ${table(id)}`;
        return part(migration, direction, at + 1, own);
      }
      const own = direction === 'up' ? `add column c${column} integer default ${column}` : `drop column c${column}`;
      return part(migration, direction, at + 1, `alter table ${table(id)} ${own}`, touch(migration, column));
    });
  },

  index({ id, variant }, direction) {
    const perhaps = variant % 2 === 1;
    const statement =
      direction === 'up'
        ? `create index concurrently${perhaps ? ' if not exists' : ''} ${index(id)} on base (v, w)`
        : `drop index concurrently${perhaps ? ' if exists' : ''} ${index(id)}`;
    const what = `${direction === 'up' ? 'create' : 'drop'} ${index(id)}`;
    return [{ kind: 'alone', statements: [statement], witness: [what] }];
  },

  mixed(migration, direction) {
    const { id, variant } = migration;
    if (direction === 'up') {
      return [part(migration, direction, 1, `create index ${index(id)} on base (w)`, `create table ${table(id)} ()`)];
    }
    return [
      part(migration, direction, 1, `drop table ${table(id)}`),
      {
        kind: 'alone',
        statements: [`drop index concurrently${variant % 2 === 1 ? ' if exists' : ''} ${index(id)}`],
        witness: [`drop ${index(id)}`],
      },
      part(migration, direction, 2, touch(migration, 5)),
    ];
  },

  reindex(migration, direction) {
    const { id, variant } = migration;
    if (direction === 'up') return [part(migration, direction, 1, `create index ${index(id)} on base (v)`)];
    const statement =
      variant % 2 === 0 ? `reindex index concurrently ${index(id)}` : `reindex (concurrently) table base`;
    return [
      part(migration, direction, 1, touch(migration, 1)),
      { kind: 'alone', statements: [statement], witness: [] }, // as often as it takes
      part(migration, direction, 2, `drop index ${index(id)}`),
    ];
  },

  detach(migration, direction) {
    const { id } = migration;
    if (direction === 'up') {
      return [
        part(
          migration,
          direction,
          1,
          `create table ${table(id)} (n integer) partition by range (n)`,
          `create table ${table(id)}p partition of ${table(id)} for values from (0) to (100)`,
        ),
      ];
    }
    return [
      {
        kind: 'alone',
        statements: [`alter table ${table(id)} detach partition ${table(id)}p concurrently`],
        witness: [`alter ${table(id)}`],
      },
      part(migration, direction, 1, `drop table ${table(id)}p`, `drop table ${table(id)}`),
    ];
  },

  empty: () => [],

  bound(migration, direction) {
    const { id } = migration;
    const made = `create temporary table shared${id} as select ${id} as n`;
    const own =
      direction === 'up' ? `create table ${table(id)} as select n from shared${id}` : `drop table ${table(id)}`;
    const first = part(migration, direction, 1, made);
    const second = part(migration, direction, 2, own, `drop table shared${id}`);
    const byHand = [
      direction === 'up' ? `create table ${table(id)} as select ${id} as n` : own,
      ...second.witness.map(saw),
    ];
    return [
      { ...first, byHand: first.witness.map(saw) },
      { ...second, byHand },
    ];
  },

  opaque(migration, direction) {
    const { id, sleepMs } = migration;
    const [one, two] = [mark(id, direction, 1), mark(id, direction, 2)];
    const own = direction === 'up' ? `create table ${table(id)} (n integer)` : `drop table ${table(id)}`;
    const sleep = sleepMs === 0 ? '' : `perform pg_sleep(${sleepMs / 1000});`;
    const block = `do $$ begin ${saw(one)}; ${sleep} commit; ${own}; ${sleep} ${saw(two)}; end $$`;
    return [{ kind: 'alone', statements: [block], witness: [one, two] }];
  },
};

/** What a person would do about a step that died where nobody can look: whatever of it did not happen. */
export function finishByHand(migration: Migration, direction: Direction, seen: ReadonlySet<string>): string[] {
  const { segments } = scriptOf(migration, direction);
  if (migration.kind === 'opaque') {
    const own =
      direction === 'up' ? `create table ${table(migration.id)} (n integer)` : `drop table ${table(migration.id)}`;
    const [one = '', two = ''] = (segments[0] as Segment).witness;
    // Its second transaction has the table and the second mark together.
    return [...(seen.has(one) ? [] : [saw(one)]), ...(seen.has(two) ? [] : [own, saw(two)])];
  }
  return segments
    .filter(({ witness }) => !witness.every((what) => seen.has(what)))
    .flatMap(({ byHand, statements }) => byHand ?? statements);
}
