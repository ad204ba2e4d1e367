import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { temporal } from '@temporalio/proto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { closeGate } from '../support/gate.js';
import { forbidden, secretsIn } from '../support/kept.js';
import { openTestEngine, type TestEngine, type TestRun } from '../support/engine.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { until } from '../support/until.js';
import { inFolder, migration, write, type Files } from '../unit/catalog/sources.js';

// From v1.0.0 to v3.0.0 and back: letters in capitals belong to v2.0.0 and later; v3.0.0 demands them by a constraint, v1.0.0 forbids
// them by another. So schema and data have one order in which they fit, and every other fails.

/** Three batches. */
const LETTERS = 3_000;

const MOVE = (from: string, to: string) => `
          with batch as (
            select id from letters where id > coalesce($2::bigint, 0) order by id limit $1
          ), moved as (
            update letters l set text = ${to}(l.text) from batch b where l.id = b.id and l.text = ${from}(l.text) returning l.id
          ), seen as (
            insert into witness (what) select '${to} ' || id from moved returning 1
          )
          select (select count(*) from seen) as rows, (select max(id) from batch) as cursor`;

const DATA = `dataMigrations:
  - id: 7
    database: frontend
    description: Letters in capitals
    introduced: v2.0.0
    deprecated: v3.0.0
    sql:
      progress: select coalesce(avg((text = upper(text))::integer), 1) from letters
      forward: |${MOVE('lower', 'upper')}
      reverse: |${MOVE('upper', 'lower')}
      verify:
        forward: select not exists (select from letters where text <> upper(text))
        reverse: select not exists (select from letters where text <> lower(text))
`;

const FIRST = migration('1_letters', [], {
  up: `create table letters (id bigint primary key, text text not null, constraint small check (text = lower(text)));
    create table witness (n serial, what text);
    insert into letters select n, 'letter ' || n from generate_series(1, ${LETTERS}) n;`,
  down: 'drop table witness; drop table letters;',
});
const SECOND = migration('2_both', [1], {
  up: `alter table letters drop constraint small; insert into witness (what) values ('2 up');`,
  down: `alter table letters add constraint small check (text = lower(text)); insert into witness (what) values ('2 down');`,
});
const THIRD = migration('3_capitals', [2], {
  up: `alter table letters add constraint large check (text = upper(text)); insert into witness (what) values ('3 up');`,
  down: `alter table letters drop constraint large; insert into witness (what) values ('3 down');`,
});
const PERFORM_WAIT = `perform set_config('lock_timeout', '0', true); perform pg_advisory_xact_lock(77, 1);`; // as waitAt(1)
const withData = (files: Files): Files => ({ ...files, 'data-migrations.yaml': DATA });
const RELEASES: Readonly<Record<string, Files>> = {
  'v1.0.0': inFolder('frontend', FIRST),
  'v2.0.0': withData(inFolder('frontend', FIRST, SECOND)),
  'v3.0.0': withData(inFolder('frontend', FIRST, SECOND, THIRD)),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-data-'));
  const source = path.join(folder, 'sources');
  for (const [label, files] of Object.entries(RELEASES)) write(path.join(source, label), files);
  // v2.0.0 cannot name a label that comes later; each release's own file is checked against all.
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
});
afterAll(() => rm(folder, { recursive: true }));

interface Shop {
  readonly name: string;
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  go(to: string, direction: 'down' | 'up'): Promise<TestRun>;
  witnessed(): Promise<readonly string[]>;
}

async function openShop(): Promise<Shop> {
  const name = `data-${randomUUID().slice(0, 8)}`;
  const database = await createDatabase();
  const config = `
products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  ${name}: { product: shop, databases: { frontend: { url: { env: FRONTEND_URL } } } }
`;
  const engine = await openTestEngine({ config, folder, env: { FRONTEND_URL: database.url } });
  onTestFinished(async () => {
    await engine.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  return {
    name,
    database,
    engine,
    async go(to, direction) {
      const { plan } = await engine.plan({ instance: name, to, direction });
      return engine.start(direction === 'down' ? 'downgrade' : 'upgrade', {
        instance: name,
        to,
        acceptDataLoss: plan.id,
      });
    },
    witnessed: async () =>
      (await database.query<{ what: string }>('select what from witness order by n')).map(({ what }) => what),
  };
}

const { PENDING_ACTIVITY_STATE_PAUSED: PAUSED } = temporal.api.enums.v1.PendingActivityState;

const moved = (to: string) => Array.from({ length: LETTERS }, (_, at) => `${to} ${at + 1}`);
const sorted = (what: readonly string[]) => [...what].sort();

test('up and down again: schema and data move in the one order in which they fit, each row once, and nothing of it is in history', async () => {
  const shop = await openShop();
  const up = await shop.go('v3.0.0', 'up');
  expect(await up.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v3.0.0', stepsDone: 4, stepsTotal: 4 });
  const rising = await shop.witnessed();
  expect([rising[0], rising.at(-1)]).toEqual(['2 up', '3 up']);
  expect(sorted(rising.slice(1, -1))).toEqual(sorted(moved('upper')));
  await shop.database.query('truncate witness');

  const down = await shop.go('v1.0.0', 'down');
  expect(await down.unaided()).toMatchObject({
    outcome: 'completed',
    standsAt: 'v1.0.0',
    stepsDone: 3,
    legs: [{ release: 'v2.0.0', data: { done: { frontend: 1 } } }, { release: 'v1.0.0' }],
  });
  const falling = await shop.witnessed();
  expect([falling[0], falling.at(-1)]).toEqual(['3 down', '2 down']);
  expect(sorted(falling.slice(1, -1))).toEqual(sorted(moved('lower')));
  expect(
    await shop.database.query(`select id, act, state, rows::int, progress from pgunwind.data_step order by started_at`),
  ).toEqual([
    { id: '7', act: 'forward', state: 'done', rows: LETTERS, progress: 1 },
    { id: '7', act: 'reverse', state: 'done', rows: LETTERS, progress: 0 },
  ]);
  const secrets = forbidden({
    urls: [shop.database.url],
    scripts: [DATA.slice(DATA.indexOf('sql:'))],
    rows: ['letter 17'],
  });
  expect(secretsIn([await down.history()], secrets)).toEqual([]);
});

/** A row that waits at a gate holds the batches up where we want them: behind the first. */
async function holdUp(shop: Shop): Promise<void> {
  await shop.database.query(`
    create function gate() returns trigger language plpgsql as $$ begin ${PERFORM_WAIT} return new; end $$;
    create trigger gate before update on letters for each row when (new.id = ${LETTERS - 100}) execute function gate()`);
}

test('a worker that is replaced in the middle of the data goes on behind the last batch, and no row is moved twice', async () => {
  const shop = await openShop();
  await (await shop.go('v3.0.0', 'up')).unaided();
  await shop.database.query('truncate witness');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await shop.go('v1.0.0', 'down');
  await gate.waiter();
  expect(
    await shop.database.query(`select batches > 0 as begun from pgunwind.data_step where state = 'started'`),
  ).toEqual([{ begun: true }]);
  await shop.engine.restart();
  await gate.open();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  const falling = await shop.witnessed();
  expect(sorted(falling.filter((what) => what.startsWith('lower')))).toEqual(sorted(moved('lower')));
});

test("Temporal's own pause of the activity rolls the batch back and begins no other; its unpause goes on there", async () => {
  const shop = await openShop();
  await (await shop.go('v3.0.0', 'up')).unaided();
  await shop.database.query('truncate witness');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await shop.go('v1.0.0', 'down');
  await gate.waiter();
  const { client } = shop.engine;
  const activity = {
    namespace: client.options.namespace,
    execution: { workflowId: run.workflowId },
    id: 'frontend-data-7-reverse',
  };
  await client.workflowService.pauseActivity({ ...activity, identity: 'a person', reason: 'to look at it' });
  const pending = async () => (await run.handle.describe()).raw.pendingActivities?.[0];
  await until(async () => (await pending())?.state === PAUSED, {
    describe: 'the activity to be paused',
    show: pending,
  });
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`;
  await until(async () => (await shop.database.query(waiting)).length === 0, { describe: 'the batch to be ended' });
  await gate.open();
  const held = await shop.witnessed();
  expect((await run.status()).state).toBe('running');
  await client.workflowService.unpauseActivity({ ...activity, identity: 'a person' });
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  const falling = await shop.witnessed();
  expect(falling.length).toBeGreaterThan(held.length);
  expect(sorted(falling.filter((what) => what.startsWith('lower')))).toEqual(sorted(moved('lower')));
});
