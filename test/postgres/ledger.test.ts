import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type pg from 'pg';
import { markerFunctionSql, readReleaseMarker } from '../../src/journal/ledgers/release-marker.js';
import { sourcegraphLedger as ledger } from '../../src/journal/ledgers/sourcegraph.js';
import { asRole, createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { fixture, missingFixtures } from '../support/shared.js';

interface Attempt {
  readonly id: number;
  readonly version: number;
  readonly up: boolean;
  readonly started_at: string;
  readonly finished_at: string | null;
  readonly success: boolean | null;
  readonly error_message: string | null;
  readonly backfilled: boolean;
}
interface StateCase {
  readonly name: string;
  readonly version: number;
  readonly rows: readonly Attempt[];
  readonly expected: string;
}

const options = { key: 'schema_migrations', schema: 'public' };
const marker = { schema: 'public', service: 'frontend' };
const absent = missingFixtures();

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
  await database.query('create schema pgunwind');
});
afterAll(async () => {
  await expectNoLeaks(database);
  await database.drop();
});
beforeEach(async () => {
  await database.query('drop table if exists migration_logs, versions');
  await database.query(ledger.functionsSql(options));
  await database.query(markerFunctionSql(marker));
});

function asOwner<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  return asRole(database, database.role, work);
}
async function value(text: string, values: unknown[] = []): Promise<unknown> {
  return (await database.query<{ value: unknown }>(`select ${text} as value`, values))[0]?.value;
}
const create = () => asOwner((client) => ledger.create(client, options));
const read = () => asOwner((client) => ledger.read(client, options));
const stateOf = (id: string | number) => value('pgunwind.ledger_state($1)', [String(id)]);

async function insert(rows: readonly Partial<Attempt>[]): Promise<void> {
  for (const row of rows) {
    const columns = Object.keys(row);
    await database.query(
      `insert into migration_logs (migration_logs_schema_version, schema, ${columns.join(', ')})
       values (2, 'schema_migrations', ${columns.map((_, at) => `$${at + 1}`).join(', ')})`,
      Object.values(row),
    );
  }
}

describe.skipIf(absent)(`the state of a migration${absent ? ` (${absent})` : ''}`, () => {
  const { cases } = absent ? { cases: [] } : fixture<{ cases: StateCase[] }>('ledger-states.json');

  test.each(cases)('$name: $expected', async ({ version, rows, expected }) => {
    await create();
    await insert(rows);
    await database.query(`insert into migration_logs (id, migration_logs_schema_version, schema, version, up, started_at)
      values (100, 2, 'codeintel_schema_migrations', ${version}, true, now())`);

    const reading = await read();

    expect(reading?.states.get(String(version)) ?? 'absent').toBe(expected);
    expect(reading?.states.has(String(version))).toBe(rows.length > 0);
    expect(reading?.applied).toEqual(expected === 'applied' ? [String(version)] : []);
    expect(await stateOf(version)).toBe(rows.length > 0 ? expected : 'none');
    expect(await value('pgunwind.ledger_applied()')).toEqual(reading?.applied);
    expect(await database.query('select migration, state from pgunwind.ledger_open()')).toEqual(
      expected === 'applied' || expected === 'absent' ? [] : [{ migration: String(version), state: expected }],
    );
  });

  test.each(cases.filter(({ rows }) => !rows.some((row) => row.backfilled)))(
    'in a table from before "backfilled": $name: $expected',
    async ({ version, rows, expected }) => {
      await create();
      await database.query('alter table migration_logs drop column backfilled');
      await insert(
        rows.map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => column !== 'backfilled'))),
      );

      expect((await read())?.states.get(String(version)) ?? 'absent').toBe(expected);
      expect(await stateOf(version)).toBe(rows.length > 0 ? expected : 'none');
    },
  );
});

describe('reading', () => {
  test('a database without the table has no ledger', async () => {
    expect(await read()).toBeNull();
  });

  test('another failure than a missing table is passed on', async () => {
    await database.query('create table migration_logs (id serial primary key)');
    await expect(read()).rejects.toMatchObject({ code: '42703' });
  });

  test('applied ids come in the order of their numbers', async () => {
    await create();
    for (const id of ['1000', '9', '-5', '200'])
      await database.query(`select pgunwind.ledger_end($1, true, now(), null)`, [id]);
    expect((await read())?.applied).toEqual(['-5', '9', '200', '1000']);
    expect(await value('pgunwind.ledger_applied()')).toEqual(['-5', '9', '200', '1000']);
  });

  test('of a failed attempt the SQLSTATE is told, never the text: it can hold row values', async () => {
    await create();
    const text = 'ERROR: duplicate key (SQLSTATE 23505)\nDETAIL: Key (email)=(ada@example.org) already exists.';
    await insert([
      { version: 7, up: false, started_at: '2024-01-01T00:00:10Z', finished_at: '2024-01-01T00:00:11.5Z', success: false, error_message: text }, // prettier-ignore
    ]);
    expect((await read())?.attempts.get('7')).toEqual({
      row: 1,
      up: false,
      startedAt: '2024-01-01T00:00:10.000Z',
      finishedAt: '2024-01-01T00:00:11.500Z',
      sqlstate: '23505',
      backfilled: false,
    });
  });

  test('a function that was installed before the product added "backfilled" follows, in the same session too', async () => {
    await create();
    await database.query('alter table migration_logs drop column backfilled');
    await asOwner(async (client) => {
      await client.query(`select pgunwind.ledger_end('7', true, now(), null)`);
      for (let i = 0; i < 7; i++) await client.query(`select pgunwind.ledger_state('7')`); // a cached, generic plan
      await ledger.create(client, options);
      await client.query('update migration_logs set backfilled = true');
      await client.query(`insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, success)
        values (2, 'schema_migrations', 7, false, now(), true)`);
      await client.query('update migration_logs set id = id + 10 where backfilled'); // the backfilled row is the last one now
      const { rows } = await client.query(`select pgunwind.ledger_state('7') as state`);
      expect(rows).toEqual([{ state: 'absent' }]);
    });
  });

  test('inside a stable function the readers share its snapshot', async () => {
    const volatility = await database.query(`select proname, provolatile from pg_proc
      where pronamespace = 'pgunwind'::regnamespace and proname in ('ledger_state', 'ledger_applied', 'ledger_open')`);
    expect(volatility.map((row) => row['provolatile'])).toEqual(['s', 's', 's']);
  });
});

describe('writing', () => {
  test('the table is made as the product makes it, and making it again changes nothing', async () => {
    await create();
    await create();
    const columns = await database.query(`select concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then 'not null' end, pg_get_expr(d.adbin, d.adrelid)) as c
      from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'migration_logs'::regclass and a.attnum > 0 order by a.attnum`);
    expect(columns.map((row) => row['c'])).toEqual([
      `id integer not null nextval('migration_logs_id_seq'::regclass)`,
      'migration_logs_schema_version integer not null',
      'schema text not null',
      'version integer not null',
      'up boolean not null',
      'started_at timestamp with time zone not null',
      'finished_at timestamp with time zone',
      'success boolean',
      'error_message text',
      'backfilled boolean not null false',
    ]);
  });

  test('a running attempt is the row that the product writes, and ends as the row that the product leaves', async () => {
    await create();
    const row = await value(`pgunwind.ledger_begin('1771010057', false)`);
    expect(row).toBe('1');
    const columns = `migration_logs_schema_version, schema, version, up, finished_at is not null as finished, success, error_message, backfilled`;
    const running = { migration_logs_schema_version: 2, schema: 'schema_migrations', version: 1771010057, up: false, finished: false, success: null, error_message: null, backfilled: false }; // prettier-ignore
    expect(await database.query(`select ${columns} from migration_logs`)).toEqual([running]);
    expect(await stateOf('1771010057')).toBe('down-running');

    await database.query(`select pgunwind.ledger_end('1771010057', false, now(), $1)`, [row]);
    expect(await database.query(`select ${columns} from migration_logs`)).toEqual([
      { ...running, finished: true, success: true },
    ]);
    expect(await stateOf('1771010057')).toBe('absent');
  });

  test('an attempt of one transaction is one finished row with the time it began', async () => {
    await create();
    await database.query(`select pgunwind.ledger_end('7', true, '2024-01-01T00:00:10Z', null)`);
    expect(
      await database.query(`select up, success, started_at = '2024-01-01T00:00:10Z' as began,
        finished_at > now() - interval '1 minute' as finished from migration_logs`),
    ).toEqual([{ up: true, success: true, began: true, finished: true }]);
  });

  test.each([
    ['of one transaction', `select pgunwind.ledger_end('7', false, now(), null)`],
    ['that runs', `select pgunwind.ledger_begin('7', false)`],
  ])('an attempt %s begins after every earlier one, so that the product finds it the newest', async (_, write) => {
    await create();
    await insert([{ version: 7, up: true, started_at: '2099-01-01T00:00:00Z', success: true }]);
    await database.query(write);
    const rows = await database.query(
      `select up, started_at > '2099-01-01T00:00:00Z' as later from migration_logs order by id`,
    );
    expect(rows).toEqual([
      { up: true, later: false },
      { up: false, later: true },
    ]);
  });

  test.each([
    ['is gone', `delete from migration_logs`],
    ['was finished by someone else', `update migration_logs set success = false, finished_at = now()`],
    ['became another migration’s', `update migration_logs set version = 8`],
  ])('a running row that %s is not written over', async (_, meanwhile) => {
    await create();
    const row = await value(`pgunwind.ledger_begin('7', false)`);
    await database.query(meanwhile);
    const before = await database.query('select * from migration_logs');
    await expect(database.query(`select pgunwind.ledger_end('7', false, now(), $1)`, [row])).rejects.toMatchObject({
      code: '55000',
    });
    expect(await database.query('select * from migration_logs')).toEqual(before);
  });

  test.each(['0042', '+7', '1.5', '', 'add_users', '2147483648', '99999999999999999999', '7; drop'])(
    'the id %j is refused: the column holds whole numbers',
    async (id) => {
      await create();
      for (const call of ['ledger_state($1)', 'ledger_begin($1, true)', 'ledger_end($1, true, now(), null)']) {
        await expect(value(`pgunwind.${call}`, [id])).rejects.toMatchObject({ code: '22023' });
      }
      expect(await database.query('select 1 from migration_logs')).toEqual([]);
    },
  );

  test('installing the functions again changes nothing, and a search_path of the script does not lead them astray', async () => {
    await database.query(ledger.functionsSql(options));
    await create();
    await asOwner(async (client) => {
      await client.query('create temp table migration_logs (id int)');
      await client.query(`set search_path = pg_temp`);
      await client.query(`select pgunwind.ledger_end('7', true, now(), null)`);
    });
    expect(await stateOf(7)).toBe('applied');
  });

  test('names that need quoting are quoted', async () => {
    const odd = { key: `o'dd \\ $pgunwind$ key`, schema: 'Odd "schema"' };
    await database.query('create schema "Odd ""schema"""');
    await asOwner(async (client) => {
      await ledger.create(client, odd);
      await client.query(ledger.functionsSql(odd));
      await client.query(`select pgunwind.ledger_end('7', true, now(), null)`);
      expect((await ledger.read(client, odd))?.applied).toEqual(['7']);
      expect((await client.query('select pgunwind.ledger_applied() as ids')).rows).toEqual([{ ids: ['7'] }]);
    });
    await database.query('drop schema "Odd ""schema""" cascade');
  });
});

describe('the product’s own version row', () => {
  const write = () => value(`pgunwind.write_release_marker('5.8.0')`);
  const readMarker = () => asOwner((client) => readReleaseMarker(client, marker));

  test('is not missed where the table is not there yet', async () => {
    expect(await readMarker()).toEqual({ kind: 'noTable' });
    expect(await write()).toBe('noTable');
  });

  test('is not invented where the product has never started', async () => {
    await database.query(
      `create table versions (service text primary key, version text not null, updated_at timestamptz not null)`,
    );
    expect(await readMarker()).toEqual({ kind: 'noRow' });
    expect(await write()).toBe('noRow');
    expect(await database.query('select 1 from versions')).toEqual([]);
  });

  test('is written with its time; other services’ rows stay', async () => {
    await database.query(
      `create table versions (service text primary key, version text not null, updated_at timestamptz not null)`,
    );
    await database.query(
      `insert into versions values ('frontend', '7.2.0', '2024-01-01T00:00:00Z'), ('other', '1', '2024-01-01T00:00:00Z')`,
    );
    expect(await readMarker()).toEqual({ kind: 'found', version: '7.2.0', updatedAt: '2024-01-01T00:00:00.000Z' });
    expect(await write()).toBe('written');
    expect(
      await database.query(
        `select service, version, updated_at > now() - interval '1 minute' as fresh from versions order by 1`,
      ),
    ).toEqual([
      { service: 'frontend', version: '5.8.0', fresh: true },
      { service: 'other', version: '1', fresh: false },
    ]);
  });
});
