import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createVerdicts } from '../../src/activities/deps.js';
import { createMakePlan } from '../../src/activities/make-plan.js';
import { createPlanCache } from '../../src/activities/plan-cache.js';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { parseConfig } from '../../src/config/load.js';
import { createEngine, type Engine } from '../../src/instance/engine.js';
import { surveyData, type DataProgress } from '../../src/instance/data-survey.js';
import { createInstances, type Instances } from '../../src/instance/instances.js';
import { planInstance } from '../../src/instance/planning.js';
import { folderOfReleases, inFolder, migration, temporaryDirectory } from '../unit/catalog/sources.js';
import { createDatabase, expectNoLeaks, withClient, type TestDatabase } from '../support/postgres.js';

const part = (id: number) => migration(`${id}_part`, id === 1 ? [] : [id - 1]);
const upTo = (last: number) => inFolder('frontend', ...Array.from({ length: last }, (_, at) => part(at + 1)));

const LETTERS = `select coalesce(avg((text = upper(text))::integer), 0) from letters`;
const BATCH = 'select $1::int as rows, $2::text as cursor';
const sql = (progress: string) => ({ progress, forward: BATCH });

const entry = (id: number, keys: object) => ({ id, database: 'frontend', description: `moves ${id}`, ...keys });
const reversible = (id: number, introduced: string, progress: string) =>
  entry(id, { introduced, sql: { ...sql(progress), reverse: BATCH } });
const irreversible = (id: number, introduced: string, progress: string, more: object = {}) =>
  entry(id, { introduced, reversible: false, sql: sql(progress), ...more });

let database: TestDatabase;
let instances: Instances;
let engine: Engine;

/** An instance at v4.0.0, all of whose migrations are in its ledger; a quarter of its letters is in the newer form. */
async function standing(dataMigrations: readonly object[]): Promise<void> {
  const folder = temporaryDirectory();
  const source = folderOfReleases({
    'v1.0.0': upTo(1),
    'v2.0.0': upTo(2),
    'v3.0.0': upTo(3),
    'v4.0.0': { ...upTo(4), 'data-migrations.yaml': stringify({ dataMigrations }) },
  });
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
  const text = `
products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  acme: { product: shop, databases: { frontend: { url: { env: FRONTEND } } } }`;
  const config = parseConfig(text, path.join(folder, 'pg-unwind.yaml'));
  const env = { FRONTEND: database.url };
  instances = createInstances({ config, env });
  engine = createEngine({ config, env });
  const { ledger, ledgerOptions } = instances.open('acme').database('frontend');
  await withClient(database.url, (client) => ledger.create(client, ledgerOptions));
  await database.query(`
    create table letters (id bigint primary key, text text not null);
    insert into letters select n, case when n % 4 = 0 then 'LETTER' else 'letter' end from generate_series(1, 100) n;
    create function eat() returns float language sql as 'delete from letters; select 0.5::float';
    insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
    select 2, 'schema_migrations', n, true, now(), now(), true from generate_series(1, 4) n`);
}

async function survey(limits = { queryMs: 5_000, databaseMs: 20_000 }): Promise<DataProgress> {
  const instance = instances.open('acme');
  const { plan, surveys } = await planInstance(instance, { to: 'v1.0.0', direction: 'down', from: null });
  return surveyData(instance, plan, surveys, { limits });
}

async function summary() {
  const log = pino({ level: 'silent' });
  const deps = { instances, plans: createPlanCache(), verdicts: createVerdicts(), log, searchAttributes: false };
  const owner = { namespace: 'default', workflowId: 'unwind/acme', runId: 'r' };
  return createMakePlan(deps)({
    instance: 'acme',
    direction: 'down',
    to: 'v1.0.0',
    from: null,
    owner,
    run: randomUUID(),
  });
}

beforeEach(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  await instances.close();
  await engine.close();
  await expectNoLeaks(database);
  await database.drop();
});

describe('the progress beside a plan', () => {
  test('is asked of the data where the schema that stands lies in the window, and unknown elsewhere', async () => {
    await standing([
      reversible(1, 'v2.0.0', LETTERS),
      entry(2, { introduced: 'v2.0.0', deprecated: 'v3.0.0', sql: { ...sql(LETTERS), reverse: BATCH } }),
      entry(3, { introduced: 'v2.0.0', deprecated: 'v4.0.0', sql: { ...sql(LETTERS), reverse: BATCH } }),
      entry(4, { introduced: 'v2.0.0', reversible: true, activity: { taskQueue: 'q', type: 't' } }),
    ]);
    const { progress, plan } = await engine.plan({ instance: 'acme', to: 'v1.0.0', direction: 'down' });
    expect(progress).toEqual({ 1: 0.25, 2: null, 3: 0.25, 4: null });
    await database.query('update letters set text = upper(text)');
    const again = await engine.plan({ instance: 'acme', to: 'v1.0.0', direction: 'down' });
    expect(again.progress).toMatchObject({ 1: 1 });
    expect(again.plan.id).toBe(plan.id);
  });

  test('is left out where the plan has no data migration', async () => {
    await standing([reversible(1, 'v2.0.0', LETTERS)]);
    const view = await engine.plan({ instance: 'acme', to: 'v4.0.0', direction: 'down' });
    expect(view).not.toHaveProperty('progress');
  });

  test('is unknown after whatever a query does: it fails, takes too long, writes, or answers no share', async () => {
    await standing([
      reversible(1, 'v2.0.0', 'select 1 / 0'),
      reversible(2, 'v2.0.0', 'select 1 from pg_sleep(60)'),
      reversible(3, 'v2.0.0', 'select eat()'),
      reversible(4, 'v2.0.0', 'select null'),
      reversible(5, 'v2.0.0', 'select 7'),
      reversible(6, 'v2.0.0', 'select 0.5 where false'),
      reversible(7, 'v2.0.0', LETTERS),
    ]);
    const began = performance.now();
    expect(await survey({ queryMs: 700, databaseMs: 20_000 })).toEqual({
      1: null, 2: null, 3: null, 4: null, 5: null, 6: null, 7: 0.25,
    }); // prettier-ignore
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await database.query('select count(*)::int from letters')).toEqual([{ count: 100 }]);
  });

  test('is unknown of those for which no time is left', async () => {
    await standing([1, 2, 3].map((id) => reversible(id, 'v2.0.0', 'select 1 from pg_sleep(0.3)')));
    const found = Object.values(await survey({ queryMs: 5_000, databaseMs: 400 }));
    expect(found.filter((each) => each === null).length).toBeGreaterThanOrEqual(2);
    expect(found).toContain(1);
  });

  test('comes from the record of the product where the data cannot be asked', async () => {
    await standing([
      reversible(1, 'v2.0.0', LETTERS),
      entry(4, { introduced: 'v2.0.0', reversible: true, activity: { taskQueue: 'q', type: 't' } }),
    ]);
    await database.query(`create table out_of_band_migrations (id integer primary key, progress double precision);
      insert into out_of_band_migrations values (1, 0.9), (4, 0.4)`);
    expect(await survey()).toEqual({ 1: 0.25, 4: 0.4 });
  });
});

describe('consent', () => {
  test('is asked for an irreversible data migration that has progressed', async () => {
    await standing([irreversible(7, 'v2.0.0', LETTERS), reversible(8, 'v2.0.0', LETTERS)]);
    expect(await summary()).toMatchObject({
      destructiveSteps: 1,
      destructiveExamples: ['frontend data migration 7 moves 7: irreversible, at 25 %'],
    });
  });

  test('is asked for one of which nobody knows how far it is', async () => {
    await standing([irreversible(7, 'v2.0.0', 'select 1 / 0')]);
    expect(await summary()).toMatchObject({
      destructiveSteps: 1,
      destructiveExamples: ['frontend data migration 7 moves 7: irreversible, its progress is not known'],
    });
  });

  test('is not asked for one that has not begun', async () => {
    await standing([irreversible(7, 'v2.0.0', LETTERS)]);
    await database.query('update letters set text = lower(text)');
    expect(await summary()).toMatchObject({ destructiveSteps: 0, destructiveExamples: [] });
  });
});
