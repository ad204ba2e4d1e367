import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import type { HandlerAnswer, HandlerCall } from '../../src/contract/handler.js';
import { openTestEngine } from '../support/engine.js';
import { closeGate } from '../support/gate.js';
import { newQueue, startHandlers } from '../support/handler-worker.js';
import { forbidden, secretsIn } from '../support/kept.js';
import { createDatabase, expectNoLeaks } from '../support/postgres.js';
import { inFolder, migration, write } from '../unit/catalog/sources.js';

// As data-migrations.test.ts, with code in place of queries: letters in capitals belong to v2.0.0 and later, and constraints of v3.0.0
// and v1.0.0 let schema and data fit in one order only.

const LETTERS = 1_000;
const queue = newQueue();

const DATA = `dataMigrations:
  - id: 7
    database: frontend
    description: Letters in capitals
    introduced: v2.0.0
    deprecated: v3.0.0
    reversible: true
    activity: { taskQueue: ${queue}, type: capitals, exactlyOnce: true, callTimeoutSeconds: 60, heartbeatSeconds: 5 }
`;

const FIRST = migration('1_letters', [], {
  up: `create table letters (id bigint primary key, text text not null, constraint small check (text = lower(text)));
    create table witness (n serial, what text);
    insert into letters select n, 'letter ' || n from generate_series(1, ${LETTERS}) n;`,
  down: 'drop table witness; drop table letters;',
});
const SECOND = migration('2_both', [1], {
  up: 'alter table letters drop constraint small;',
  down: 'alter table letters add constraint small check (text = lower(text));',
});
const THIRD = migration('3_capitals', [2], {
  up: 'alter table letters add constraint large check (text = upper(text));',
  down: 'alter table letters drop constraint large;',
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-handler-'));
  const source = path.join(folder, 'sources');
  write(path.join(source, 'v1.0.0'), inFolder('frontend', FIRST));
  write(path.join(source, 'v2.0.0'), { ...inFolder('frontend', FIRST, SECOND), 'data-migrations.yaml': DATA });
  write(path.join(source, 'v3.0.0'), { ...inFolder('frontend', FIRST, SECOND, THIRD), 'data-migrations.yaml': DATA });
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Three batches a call, each in a transaction that pg-unwind's journal is part of. */
function capitals(url: string): (call: HandlerCall) => Promise<HandlerAnswer> {
  return async ({ migration: id, direction, batchSize, token }) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      const write = direction === 'forward' ? 'upper' : 'lower';
      let rowsDone = 0;
      let last: { rows: number; cursor: string | null } = { rows: 0, cursor: null };
      for (let batch = 0; batch < 3; batch += 1) {
        await client.query('begin');
        const from = (
          await client.query<{ at: string | null }>('select pgunwind.batch_from($1, $2) as at', [token, id])
        ).rows[0]?.at;
        const { rows } = await client.query<{ id: string; text: string }>(
          'select id::text, text from letters where id > coalesce($1::bigint, 0) order by letters.id limit $2',
          [from, batchSize],
        );
        for (const row of rows) {
          const text = write === 'upper' ? row.text.toUpperCase() : row.text.toLowerCase();
          await client.query('update letters set text = $2 where id = $1', [row.id, text]);
          await client.query('insert into witness (what) values ($1)', [`${write} ${row.id}`]);
        }
        const cursor = rows.at(-1)?.id ?? null;
        await client.query('select pgunwind.batch_done($1, $2, $3, $4, $5)', [token, id, from, cursor, rows.length]);
        await client.query('commit');
        rowsDone += rows.length;
        last = { rows: rows.length, cursor };
        if (last.rows === 0) break;
      }
      const { rows } = await client.query<{ progress: number | null }>(
        'select avg((text = upper(text))::integer)::float8 as progress from letters',
      );
      const progress = rows[0]?.progress ?? null;
      return { cursor: last.cursor, rowsDone, progress, done: progress === (direction === 'forward' ? 1 : 0) };
    } finally {
      await client.end();
    }
  };
}

async function openShop() {
  const name = `handler-${randomUUID().slice(0, 8)}`;
  const database = await createDatabase();
  const config = `
products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  ${name}:
    product: shop
    databases: { frontend: { url: { env: FRONTEND_URL } } }
    options: { data: { firstBatchRows: 100 } }
`;
  const engine = await openTestEngine({ config, folder, env: { FRONTEND_URL: database.url } });
  onTestFinished(async () => {
    await engine.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  await startHandlers(queue, { capitals: capitals(database.url) });
  const witnessed = async () =>
    (await database.query<{ what: string }>('select what from witness order by n')).map(({ what }) => what);
  const each = (to: string) => Array.from({ length: LETTERS }, (_, at) => `${to} ${at + 1}`);

  const down = async () => {
    const { plan } = await engine.plan({ instance: name, to: 'v1.0.0', direction: 'down' });
    return engine.start('downgrade', { instance: name, to: 'v1.0.0', acceptDataLoss: plan.id });
  };
  return {
    name,
    database,
    engine,
    witnessed,
    each,
    down,
    up: () => engine.start('upgrade', { instance: name, to: 'v3.0.0' }),
  };
}

test('a handler in code moves the data up and down again, each row once, and nothing secret is in history', async () => {
  const { database, witnessed, each, ...shop } = await openShop();
  const up = await shop.up();
  expect(await up.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v3.0.0', stepsDone: 4 });
  expect(await witnessed()).toEqual(each('upper'));
  await database.query('truncate witness');

  const down = await shop.down();
  expect(await down.unaided()).toMatchObject({
    outcome: 'completed',
    standsAt: 'v1.0.0',
    legs: [{ release: 'v2.0.0', data: { done: { frontend: 1 } } }, { release: 'v1.0.0' }],
  });
  expect(await witnessed()).toEqual(each('lower'));
  expect(
    await database.query(
      `select act, state, rows::int, batches::int, progress from pgunwind.data_step order by started_at`,
    ),
  ).toEqual([
    { act: 'forward', state: 'done', rows: LETTERS, batches: 11, progress: 1 },
    { act: 'reverse', state: 'done', rows: LETTERS, batches: 11, progress: 0 },
  ]);
  const secrets = forbidden({ urls: [database.url], rows: ['letter 17'] });
  expect(secretsIn([await down.history()], secrets)).toEqual([]);
});

test('a worker of pg-unwind that is replaced while a call runs goes on with that call, and no row is moved twice', async () => {
  const { database, engine, witnessed, each, ...shop } = await openShop();
  await (await shop.up()).unaided();
  await database.query('truncate witness');
  await database.query(`
    create function gate() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(77, 1); return new; end $$;
    create trigger gate before update on letters for each row when (new.id = 450) execute function gate()`);
  const gate = await closeGate(database, 1);
  const run = await shop.down();
  await gate.waiter();
  await engine.restart();
  await gate.open();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(await witnessed()).toEqual(each('lower'));
});

test('one with a handler in code goes forward and back by itself too', async () => {
  const { name, database, engine, witnessed, each } = await openShop();
  await (await engine.start('upgrade', { instance: name, to: 'v2.0.0' })).unaided();
  const move = async (direction: 'forward' | 'reverse') =>
    (await engine.start('dataMigration', { instance: name, id: 7, direction })).unaided();
  expect(await move('forward')).toMatchObject({ outcome: 'completed', dataMigration: { rows: LETTERS, progress: 1 } });
  expect(await witnessed()).toEqual(each('upper'));
  await database.query('truncate witness');
  expect(await move('reverse')).toMatchObject({ outcome: 'completed', dataMigration: { rows: LETTERS, progress: 0 } });
  expect(await witnessed()).toEqual(each('lower'));
});
