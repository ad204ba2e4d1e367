import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { repository } from './options.mjs';
import { buildCatalog, findRelease, makePlan, migrationIds, openCatalog, writeCatalog } from './product.mjs';

export const sha256 = (text) => createHash('sha256').update(text, 'utf8').digest('hex');

/** What is taken down: the corpus from v7.2.0 to v5.8.1579, or the example product from its newest release to its oldest. */
export async function compileCorpus(corpus, folder) {
  const source = { format: 'sourcegraph', source: corpus, path: 'migrations', tags: 'v*', product: 'sourcegraph' };
  return compile(source, folder, { from: 'v7.2.0', to: 'v5.8.1579', name: 'Sourcegraph corpus' });
}

export async function compileShop(folder) {
  const releases = path.join(folder, 'releases');
  await promisify(execFile)(process.execPath, [
    path.join(repository, 'examples', 'shop', 'build-releases.mjs'),
    releases,
  ]);
  const source = { format: 'sourcegraph', source: releases, path: 'migrations', product: 'shop' };
  return compile(source, folder, { from: null, to: null, name: 'example product' });
}

/** A subject of one's own: a folder of releases. */
export function compileFolder(releases, folder, name) {
  const source = { format: 'sourcegraph', source: releases, path: 'migrations', product: name };
  return compile(source, folder, { from: null, to: null, name });
}

async function compile(source, folder, { from, to, name }) {
  const began = performance.now();
  const built = await buildCatalog(source);
  const directory = path.join(folder, 'catalog');
  await writeCatalog(directory, built);
  const builtMs = performance.now() - began;
  const { catalog, hash, readScript } = await openCatalog(directory);
  const labels = catalog.labels.map(({ label }) => label);
  return createSubject({
    name,
    directory,
    builtMs,
    catalog,
    hash,
    readScript,
    from: from ?? labels.at(-1),
    to: to ?? labels[0],
  });
}

function createSubject({ catalog, hash, readScript, from, to, ...facts }) {
  const databases = catalog.databases.map(({ name }) => name);
  const main = databases.includes('frontend') ? 'frontend' : databases[0];
  const appliedAt = (label, names) => {
    const { release } = findRelease(catalog, label);
    return Object.fromEntries(
      names.map((name) => [name, { applied: migrationIds(catalog, release, name), absent: [] }]),
    );
  };
  const nothing = Object.fromEntries(databases.map((name) => [name, { applied: [], absent: [] }]));
  const plan = (direction, target, names, ledger) =>
    makePlan({ catalog, catalogHash: hash, direction, target, databases: names, ledger }, sha256);
  return Object.freeze({
    ...facts,
    catalog,
    readScript,
    from,
    to,
    databases,
    /** The one that is measured alone. */
    main,
    migrations: catalog.databases.reduce((sum, { migrations }) => sum + migrations.length, 0),
    ledgerKey: (database) => (database === main ? 'schema_migrations' : `${database}_schema_migrations`),
    appliedAt,
    /** The way up from empty databases to `from`. */
    rise: () => plan('up', from, databases, nothing),
    /** The way that is measured. Its id is what the engine computes too: consent can be given beforehand. */
    descent: (names) => plan('down', to, names, appliedAt(from, names)),
  });
}

export const stepsOf = (plan) => plan.legs.flatMap((leg) => Object.values(leg.steps).flat()).length;
