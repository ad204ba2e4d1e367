import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { buildCatalog, type BuiltCatalog } from '../../../src/catalog/build.js';
import { writeCatalog } from '../../../src/catalog/store.js';
import { analyseScript } from '../../../src/postgres/script.js';
import { inFolder, migration, write, type Files } from '../../unit/catalog/sources.js';

// The product whose downgrade is attacked: one step of each kind in its first leg, so that every cell of the matrix runs them
// all and differs only in where it is hit. No down can run twice unseen: each writes a row into `witness` for each of its
// parts, and makes an object that a second run could not make again.

export const DATABASES = ['frontend', 'orders'] as const;
export type DatabaseName = (typeof DATABASES)[number];

export const LEDGER_KEYS: Readonly<Record<DatabaseName, string>> = {
  frontend: 'schema_migrations',
  orders: 'orders_schema_migrations',
};

export const FROM = 'v3.0.0';
export const TO = 'v1.0.0';

const saw = (step: number, part = 1) => `insert into witness (step, part) values (${step}, ${part});`;
const back = (step: number, part = 1) => `create table back_${step}_${part} (id integer); ${saw(step, part)}`;
const gone = (step: number, parts = 1) =>
  Array.from({ length: parts }, (_, at) => `drop table back_${step}_${at + 1};`).join(' ');

/** Segments of migration 9. */
export const SEGMENTS = 5;

interface Scripts {
  readonly up: string;
  readonly down: string;
}

/** By id; downs run from the highest id to the lowest. */
export const FRONTEND: Readonly<Record<number, Scripts>> = {
  1: { up: 'select 1;', down: 'select 1;' },
  // v2.0.0
  2: { up: gone(2), down: back(2) },
  // v3.0.0
  3: { up: gone(3), down: back(3) }, // the last step of its leg
  4: { up: gone(4), down: `${back(4)} select pg_sleep(seconds) from pace;` }, // long, where a cell says so
  5: { up: 'select 1;', down: '-- nothing to undo' },
  6: {
    up: 'select 1;',
    down: `do $$
begin
  ${saw(6, 1)}
  commit;
  perform gate(6, 2);
  ${saw(6, 2)}
  commit;
end
$$;`,
  },
  7: { up: 'create index parcels_note on parcels (note);', down: 'drop index concurrently parcels_note;' },
  8: {
    up: 'drop index letters_weight;',
    down: "select 'BUILD stands here, see compileProduct';",
  },
  9: {
    up: gone(9, SEGMENTS),
    down: `begin;
${Array.from({ length: SEGMENTS }, (_, at) => `select gate(9, ${at + 1}); ${back(9, at + 1)}`).join('\ncommit and chain;\n')}
commit;`,
  },
  10: { up: gone(10), down: `select gate(10, 1); ${back(10)}` },
  11: { up: gone(11), down: back(11) },
};

/** Rows of the data migration, and how many a batch takes. */
const NOTES = 40;
export const BATCH = 10;
export const DATA_STEP = 70;

/** Batch 2 holds the rows 11 to 20, and waits at its gate where the matrix shuts it. */
const DATA = `dataMigrations:
  - id: ${DATA_STEP}
    database: frontend
    description: Notes in small letters
    introduced: v2.0.0
    sql:
      progress: select coalesce(avg((text = upper(text))::integer), 0) from notes
      forward: select 0 * $1::integer as rows, $2::text as cursor
      reverse: |
        with batch as (
          select id from notes where id > coalesce($2::integer, 0) order by id limit $1
        ), moved as (
          update notes n set text = lower(n.text) from batch b where n.id = b.id returning n.id
        ), seen as (
          insert into witness (step, part) select ${DATA_STEP}, id from moved returning 1
        ), passed as (
          select gate(${DATA_STEP}, (select max(id) / ${BATCH} from batch)) is null as through
        )
        select (select count(*) from seen) as rows, (select max(id) from batch) as cursor from passed
`;

/** The down of 8. Sourcegraph's format refuses it in a down (its rule V5); the engine and other formats do not. */
const BUILD = 'create index concurrently letters_weight on letters (weight);';

const ORDERS: Readonly<Record<number, Scripts>> = {
  1: { up: 'select 1;', down: 'select 1;' },
  2: { up: gone(2), down: back(2) },
  3: { up: gone(3), down: back(3) },
};

/** What each down leaves in `witness`, as `step/part`: exactly these after a downgrade, whatever happened on the way. */
export const WITNESSED: Readonly<Record<DatabaseName, readonly string[]>> = {
  frontend: [
    ...[2, 3, 4, 10, 11].map((step) => `${step}/1`),
    ...[1, 2].map((part) => `6/${part}`),
    ...Array.from({ length: SEGMENTS }, (_, at) => `9/${at + 1}`),
    ...Array.from({ length: NOTES }, (_, at) => `${DATA_STEP}/${at + 1}`),
    'CREATE INDEX letters_weight',
    'DROP INDEX parcels_note',
  ].sort(),
  orders: ['2/1', '3/1'],
};

const filesOf = (folder: string, scripts: Readonly<Record<number, Scripts>>, newest: number): Files =>
  inFolder(
    folder,
    ...Object.entries(scripts)
      .map(([id, texts]) => ({ id: Number(id), texts }))
      .filter(({ id }) => id <= newest)
      .map(({ id, texts }) => migration(`${id}_step`, id === 1 ? [] : [id - 1], texts)),
  );

/** Compiles the catalog into `folder`/catalog. */
export async function compileProduct(folder: string): Promise<void> {
  const source = path.join(folder, 'sources');
  await mkdir(source, { recursive: true });
  const newest: readonly (readonly [string, number, number])[] = [
    ['v1.0.0', 1, 1],
    ['v2.0.0', 2, 2],
    [FROM, 11, 3],
  ];
  for (const [label, frontend, orders] of newest) {
    write(path.join(source, label), {
      ...filesOf('frontend', FRONTEND, frontend),
      ...filesOf('orders', ORDERS, orders),
      ...(label === 'v1.0.0' ? {} : { 'data-migrations.yaml': DATA }),
    });
  }
  const built = await buildCatalog({ product: 'crash', format: 'sourcegraph', source });
  await writeCatalog(path.join(folder, 'catalog'), await withBuild(built));
}

async function withBuild({ catalog, texts }: BuiltCatalog): Promise<BuiltCatalog> {
  const facts = await analyseScript(BUILD);
  const databases = catalog.databases.map((database) => ({
    ...database,
    migrations: database.migrations.map((it) =>
      database.name === 'frontend' && it.id === '8'
        ? { ...it, down: it.down.map((version) => ({ ...version, sha256: facts.sha256 })) }
        : it,
    ),
  }));
  return {
    catalog: { ...catalog, databases, scripts: { ...catalog.scripts, [facts.sha256]: facts } },
    texts: new Map([...texts, [facts.sha256, BUILD]]),
    skipped: [],
  };
}

const WITNESS = `create table witness (
    n serial primary key, step integer, part integer, command text,
    xid xid8 not null default pg_current_xact_id(), pid integer not null default pg_backend_pid(),
    at timestamptz not null default clock_timestamp()
  );`;

/** As the owner, on an empty database: what v3.0.0 has. */
export const SETUP: Readonly<Record<DatabaseName, string>> = {
  frontend: `${WITNESS}
    create table pace (seconds integer not null);
    insert into pace values (0);
    create table parcels (id integer primary key, note text);
    insert into parcels select i, 'n' || i from generate_series(1, 200) i;
    create index parcels_note on parcels (note);
    create table letters (id integer primary key, weight integer);
    insert into letters select i, i from generate_series(1, 200) i;
    create table notes (id integer primary key, text text not null);
    insert into notes select i, 'NOTE ' || i from generate_series(1, ${NOTES}) i;
    create table versions (service text primary key, version text not null, updated_at timestamptz not null default now(), first_version text);
    insert into versions values ('frontend', '3.0.0', now(), '1.0.0');
    -- Where a script waits while the matrix holds the lock of that number; a place like any other otherwise.
    create function gate(step integer, part integer) returns void language sql set lock_timeout = 0 as $$
      select pg_advisory_xact_lock_shared(7700 + step, part) $$;`,
  orders: WITNESS,
};

/** As superuser: what CREATE and DROP INDEX CONCURRENTLY did, for they can carry no row of their own. */
export const SETUP_AS_SUPERUSER: Readonly<Record<DatabaseName, string>> = {
  frontend: `
    create function witness_created() returns event_trigger language plpgsql security definer set search_path = public as $$
      begin insert into witness (command) select 'CREATE INDEX ' || c.relname from pg_event_trigger_ddl_commands() d join pg_class c on c.oid = d.objid where d.schema_name = 'public'; end $$;
    create function witness_dropped() returns event_trigger language plpgsql security definer set search_path = public as $$
      begin insert into witness (command) select 'DROP INDEX ' || d.object_name from pg_event_trigger_dropped_objects() d where d.original and d.schema_name = 'public'; end $$;
    create event trigger witness_created on ddl_command_end when tag in ('CREATE INDEX') execute function witness_created();
    create event trigger witness_dropped on sql_drop when tag in ('DROP INDEX') execute function witness_dropped();`,
  orders: '',
};

/** Ids that the ledger calls applied at `FROM`. */
export const APPLIED: Readonly<Record<DatabaseName, readonly number[]>> = {
  frontend: Object.keys(FRONTEND).map(Number),
  orders: Object.keys(ORDERS).map(Number),
};
