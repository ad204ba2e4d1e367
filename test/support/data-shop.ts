import path from 'node:path';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { createVerdicts, type ActivityDeps } from '../../src/activities/deps.js';
import { createWorkerMetrics } from '../../src/activities/metrics.js';
import { createPlanCache } from '../../src/activities/plan-cache.js';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { parseConfig } from '../../src/config/load.js';
import { createEngine, type Engine } from '../../src/instance/engine.js';
import { createInstances, type Instances } from '../../src/instance/instances.js';
import { folderOfReleases, inFolder, migration, temporaryDirectory } from '../unit/catalog/sources.js';
import { createDatabase, withClient, type TestDatabase } from './postgres.js';

const part = (id: number) => migration(`${id}_part`, id === 1 ? [] : [id - 1]);
const upTo = (last: number) => inFolder('frontend', ...Array.from({ length: last }, (_, at) => part(at + 1)));

/** A query of progress over the letters. */
export const LETTERS = `select coalesce(avg((text = upper(text))::integer), 0) from letters`;
/** Takes any letters that are left; none is left after the second. */
const move = (
  to: string,
) => `with taken as (select id from letters where text <> ${to}(text) and $2::text is null limit $1),
  moved as (update letters l set text = ${to}(text) from taken s where l.id = s.id returning 1)
  select count(*) as rows, null as cursor from moved`;
const sql = (progress: string) => ({ progress, forward: move('upper') });

export const entry = (id: number, keys: object) => ({ id, database: 'frontend', description: `moves ${id}`, ...keys });
export const reversible = (id: number, introduced: string, progress = LETTERS, more: object = {}) =>
  entry(id, { introduced, sql: { ...sql(progress), reverse: move('lower') }, ...more });
export const irreversible = (id: number, introduced: string, progress = LETTERS) =>
  entry(id, { introduced, reversible: false, sql: sql(progress) });

export interface DataShop {
  readonly database: TestDatabase;
  readonly instances: Instances;
  readonly engine: Engine;
  readonly deps: ActivityDeps;
  close(): Promise<void>;
}

/**
 * An instance "acme" of a product with four releases, v1.0.0 to v4.0.0, and these data migrations. It stands at the last, with all
 * migrations in its ledger; of its hundred letters a quarter is in the newer form, upper case.
 */
export async function openDataShop(dataMigrations: readonly object[]): Promise<DataShop> {
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
  shop:
    catalog: ./shop
    ledger: { kind: sourcegraph }
    releaseMarker: { kind: sourcegraph, database: frontend }
    databases: { frontend: { ledgerKey: schema_migrations } }
instances:
  acme: { product: shop, databases: { frontend: { url: { env: FRONTEND } } } }`;
  const config = parseConfig(text, path.join(folder, 'pg-unwind.yaml'));
  const database = await createDatabase();
  const env = { FRONTEND: database.url };
  const instances = createInstances({ config, env });
  const engine = createEngine({ config, env });
  const log = pino({ level: 'silent' });
  const { ledger, ledgerOptions } = instances.open('acme').database('frontend');
  await withClient(database.url, (client) => ledger.create(client, ledgerOptions));
  await database.query(`
    create table letters (id bigint primary key, text text not null);
    insert into letters select n, case when n % 4 = 0 then 'LETTER' else 'letter' end from generate_series(1, 100) n;
    insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
    select 2, 'schema_migrations', n, true, now(), now(), true from generate_series(1, 4) n`);
  return {
    database,
    instances,
    engine,
    deps: {
      instances,
      plans: createPlanCache(),
      verdicts: createVerdicts(),
      log,
      env,
      folder,
      metrics: createWorkerMetrics(),
      searchAttributes: false,
    },
    async close() {
      await instances.close();
      await engine.close();
      await database.drop();
    },
  };
}
