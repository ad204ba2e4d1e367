import path from 'node:path';
import { expect, test } from 'vitest';
import { buildCatalog } from '../../../src/catalog/build.js';
import { writeCatalog } from '../../../src/catalog/store.js';
import { parseConfig } from '../../../src/config/load.js';
import { createInstances } from '../../../src/instance/instances.js';
import { folderOfReleases, inFolder, migration, temporaryDirectory } from './sources.js';

const FIRST = inFolder('frontend', migration('1_one', []));
const SECOND = inFolder('frontend', migration('1_one', []), migration('2_two', [1]));

test('a catalog that is built again is the one of the next plan, without a restart of the worker', async () => {
  const folder = temporaryDirectory();
  const build = async (releases: Parameters<typeof folderOfReleases>[0]) =>
    writeCatalog(
      path.join(folder, 'shop'),
      await buildCatalog({ product: 'shop', format: 'sourcegraph', source: folderOfReleases(releases) }),
    );
  const config = parseConfig(
    `products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  acme: { product: shop, databases: { frontend: { url: { env: FRONTEND } } } }`,
    path.join(folder, 'pg-unwind.yaml'),
  );
  const first = await build({ 'v1.0.0': FIRST });
  const instances = createInstances({ config, env: {} });
  const acme = instances.open('acme');
  expect((await acme.catalog()).hash).toBe(first.hash);
  expect(await acme.catalog(), 'opened once').toBe(await acme.catalog());

  const second = await build({ 'v1.0.0': FIRST, 'v2.0.0': SECOND });
  expect((await acme.catalog()).hash).toBe(second.hash);
  expect((await acme.catalog()).catalog.labels.map(({ label }) => label)).toEqual(['v1.0.0', 'v2.0.0']);
  await instances.close();
});
