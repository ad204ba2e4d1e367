import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { openTestEngine } from '../support/engine.js';
import { closeGate, waitAt } from '../support/gate.js';
import { createDatabase, expectNoLeaks } from '../support/postgres.js';
import { inFolder, migration, write } from '../unit/catalog/sources.js';

// Two databases, each with letters and a data migration of its own.

const letters = (database: string) =>
  inFolder(
    database,
    migration('1_letters', [], {
      up: `create table letters (id bigint primary key, text text not null);
        insert into letters select n, 'letter' from generate_series(1, 100) n;`,
      down: 'drop table letters;',
    }),
  );
const MOVE = (to: string) =>
  `with moved as (update letters set text = ${to}(text) where text <> ${to}(text) and $1 > 0 and $2::text is null returning 1)
  select count(*) as rows, null as cursor from moved`;
const entry = (id: number, database: string) => `
  - id: ${id}
    database: ${database}
    description: Letters in capitals
    introduced: v1.0.0
    sql:
      progress: select coalesce(avg((text = upper(text))::integer), 1) from letters
      forward: ${JSON.stringify(MOVE('upper'))}
      reverse: ${JSON.stringify(MOVE('lower'))}`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-data-'));
  const source = path.join(folder, 'sources');
  write(path.join(source, 'v1.0.0'), {
    ...letters('frontend'),
    ...letters('audit'),
    'data-migrations.yaml': `dataMigrations:${entry(1, 'frontend')}${entry(2, 'audit')}\n`,
  });
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
});
afterAll(() => rm(folder, { recursive: true }));

test('those of two databases run side by side: each claims its own, and the other needs no journal', async () => {
  const name = `side-${randomUUID().slice(0, 8)}`;
  const databases = { frontend: await createDatabase(), audit: await createDatabase() };
  const config = `
products:
  shop:
    catalog: ./shop
    ledger: { kind: sourcegraph }
    databases: { frontend: { ledgerKey: schema_migrations }, audit: { ledgerKey: audit_schema_migrations } }
instances:
  ${name}: { product: shop, databases: { frontend: { url: { env: FRONTEND } }, audit: { url: { env: AUDIT } } } }
`;
  const env = { FRONTEND: databases.frontend.url, AUDIT: databases.audit.url };
  const engine = await openTestEngine({ config, folder, env });
  onTestFinished(async () => {
    await engine.close();
    for (const database of Object.values(databases)) {
      await expectNoLeaks(database);
      await database.drop();
    }
  });
  await (await engine.start('upgrade', { instance: name, to: 'v1.0.0' })).unaided();
  for (const database of Object.values(databases)) {
    await database.query(`
      drop schema pgunwind cascade;
      create function gate() returns trigger language plpgsql as $$ begin ${waitAt(1)} return new; end $$;
      create trigger gate before update on letters for each row when (new.id = 50) execute function gate()`.replaceAll(
      'select pg_advisory',
      'perform pg_advisory',
    ).replace('set local lock_timeout = 0;', `perform set_config('lock_timeout', '0', true);`)); // prettier-ignore
  }
  const gates = [await closeGate(databases.frontend, 1), await closeGate(databases.audit, 1)];
  const journals = async () =>
    Promise.all(
      Object.values(databases).map(async (database) =>
        database.query(`select to_regclass('pgunwind.run') is not null as there`),
      ),
    );

  const one = await engine.start('dataMigration', { instance: name, id: '1', direction: 'forward' });
  await gates[0]?.waiter();
  expect(await journals()).toEqual([[{ there: true }], [{ there: false }]]);
  const two = await engine.start('dataMigration', { instance: name, id: '2', direction: 'forward' });
  await gates[1]?.waiter();
  for (const gate of gates) await gate.open();
  for (const run of [one, two]) {
    expect(await run.unaided()).toMatchObject({ outcome: 'completed', dataMigration: { rows: 100, progress: 1 } });
  }
});
