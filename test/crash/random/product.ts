import path from 'node:path';
import { buildCatalog, type BuiltCatalog } from '../../../src/catalog/build.js';
import { writeCatalog } from '../../../src/catalog/store.js';
import { inFolder, migration, write, type Files } from '../../unit/catalog/sources.js';
import { labelOf, type Case, type Database } from './case.js';
import { scriptOf } from './scripts.js';

export const INSTANCE = 'acme';
export const ledgerOf = (database: Database) => ({ key: `${database.name}_migrations`, schema: 'public' });

/** The product's releases as its publisher would lay them out. */
export function filesOf(test: Case): Files {
  const releases = Array.from({ length: test.releases }, (_, release) =>
    inFolder(
      labelOf(release),
      ...test.databases.map((database) => inFolder(database.name, ...foldersOf(database, release))),
    ),
  );
  return Object.assign({}, ...releases) as Files;
}

function foldersOf(database: Database, release: number): Files[] {
  return database.migrations
    .filter((each) => each.release <= release)
    .map((each) =>
      migration(`${each.id}_${each.kind}`, each.parents, {
        up: scriptOf(each, 'up').text,
        down: scriptOf(each, 'down').text,
        extra: each.kind === 'index' ? 'createIndexConcurrently: true\n' : '',
      }),
    );
}

/** Writes the sources and the catalog below `folder`; the catalog is its `catalog`. */
export async function buildProduct(test: Case, folder: string): Promise<BuiltCatalog> {
  const source = path.join(folder, 'releases');
  write(source, filesOf(test));
  const built = await buildCatalog({ product: 'shop', format: 'sourcegraph', source });
  await writeCatalog(path.join(folder, 'catalog'), built);
  return built;
}

export const urlVariable = (database: string) => `${database.toUpperCase()}_URL`;

/** `pg-unwind.yaml` for the folder of `buildProduct`. The shortest timeouts that it takes: a case waits for them. */
export function configOf(test: Case, temporal?: { address: string; namespace: string; taskQueue: string }): string {
  const lines = [
    ...(temporal === undefined ? [] : [`temporal: ${JSON.stringify(temporal)}`]),
    'worker: { shutdownGraceSeconds: 0 }',
    'products:',
    '  shop:',
    '    catalog: ./catalog',
    '    ledger: { kind: sourcegraph }',
    '    databases:',
    ...test.databases.map((each) => `      ${each.name}: { ledgerKey: ${ledgerOf(each).key} }`),
    'instances:',
    `  ${INSTANCE}:`,
    '    product: shop',
    '    options: { lockTimeoutMs: 200, heartbeatTimeoutSeconds: 5 }',
    '    databases:',
    ...test.databases.map(({ name }) => `      ${name}: { url: { env: ${urlVariable(name)} } }`),
  ];
  return `${lines.join('\n')}\n`;
}
