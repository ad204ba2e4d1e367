import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { buildCatalog } from '../../../src/catalog/build.js';
import { findRelease } from '../../../src/catalog/releases.js';
import { catalogJson, openCatalog, writeCatalog } from '../../../src/catalog/store.js';
import { folderOfReleases, inFolder, migration, temporaryDirectory, type Files } from './sources.js';

async function built(...files: readonly Files[]) {
  const source = folderOfReleases({
    'v1.0.0': inFolder('app', ...files),
    'v1.10.0': inFolder('app', ...files, migration('9_w', [1])),
  });
  return buildCatalog({ product: 'parcels', format: 'sourcegraph', source });
}

async function written() {
  const directory = join(temporaryDirectory(), 'catalog');
  const catalog = await built(migration('1_x', [], { up: 'CREATE TABLE größe ()', down: 'DROP TABLE größe' }));
  const { hash } = await writeCatalog(directory, catalog);
  return { directory, hash, ...catalog };
}

test('a catalog that was written is opened as it was built', async () => {
  const { directory, hash, catalog, texts } = await written();
  const opened = await openCatalog(directory);
  expect(opened.catalog).toEqual(catalog);
  expect(opened.hash).toBe(hash);
  for (const [sha256, text] of texts) expect(await opened.readScript(sha256)).toBe(text);
  expect(readFileSync(join(directory, 'catalog.json'), 'utf8')).toBe(catalogJson(catalog));
});

test('writing again leaves the scripts of the new catalog only, and no temporary file', async () => {
  const { directory, texts } = await written();
  const next = await built(migration('1_x', [], { up: 'CREATE TABLE other ()', down: 'DROP TABLE größe' }));
  await writeCatalog(directory, next);
  expect(readdirSync(join(directory, 'scripts')).sort()).toEqual(
    [...next.texts.keys()].map((sha256) => `${sha256}.sql`).sort(),
  );
  expect([...texts.keys()].some((sha256) => !next.texts.has(sha256))).toBe(true);
  expect(readdirSync(directory).sort()).toEqual(['catalog.json', 'scripts']);
});

test('writing repairs a script that was changed', async () => {
  const { directory, catalog, texts } = await written();
  const [sha256, text] = [...texts][0]!;
  writeFileSync(join(directory, 'scripts', `${sha256}.sql`), 'SELECT 1');
  await expect((await openCatalog(directory)).readScript(sha256)).rejects.toThrow('was changed since it was built');
  await writeCatalog(directory, { catalog, texts });
  expect(await (await openCatalog(directory)).readScript(sha256)).toBe(text);
});

describe('with data migrations', () => {
  const file = (progress: string) => ({
    'data-migrations.yaml': `dataMigrations:
  - id: 7
    database: app
    description: moves a
    introduced: v1.10.0
    sql: { progress: ${progress}, forward: 'select $1 as rows, $2 as cursor' }
`,
  });
  const releases = (progress: string) => ({
    'v1.0.0': inFolder('app', migration('1_x', [])),
    'v1.10.0': { ...inFolder('app', migration('1_x', [])), ...file(progress) },
  });
  const build = (progress: string) =>
    buildCatalog({ product: 'parcels', format: 'sourcegraph', source: folderOfReleases(releases(progress)) });

  test('a catalog is opened as it was built, its queries are read like scripts, and old ones are removed', async () => {
    const directory = join(temporaryDirectory(), 'catalog');
    const progressOf = async () => {
      const opened = await openCatalog(directory);
      const { handler } = opened.catalog.dataMigrations![0]!.handlers[0]!;
      return opened.readScript(handler.kind === 'sql' ? handler.progress : '');
    };
    const first = await build('select 1');
    await writeCatalog(directory, first);
    expect((await openCatalog(directory)).catalog).toEqual(first.catalog);
    expect(await progressOf()).toBe('select 1');

    const second = await build('select 0');
    await writeCatalog(directory, second);
    expect(await progressOf()).toBe('select 0');
    expect(readdirSync(join(directory, 'scripts')).sort()).toEqual(
      [...second.texts.keys()].map((sha256) => `${sha256}.sql`).sort(),
    );
  });

  test.each([
    ['a handler of another kind', '"kind":"sql"', '"kind":"go"', 'damaged at dataMigrations.0.handlers.0.handler.kind'],
    ['a missing query', '"forward":"', '"backward":"', 'damaged at dataMigrations.0.handlers.0.handler.forward'],
    ['no window', '"introduced":', '"since":', 'damaged at dataMigrations.0.introduced'],
  ])('a catalog is damaged by %s', async (_, from, to, message) => {
    const directory = join(temporaryDirectory(), 'catalog');
    await writeCatalog(directory, await build('select 1'));
    const json = join(directory, 'catalog.json');
    writeFileSync(json, readFileSync(json, 'utf8').replace(from, to));
    await expect(openCatalog(directory)).rejects.toThrow(message);
  });
});

test('without data migrations a catalog has the bytes that it always had', () => {
  const sha256 = '0'.repeat(64);
  const facts = {
    sha256,
    bytes: 0,
    statements: 0,
    execution: 'empty',
    units: [],
    refused: null,
    destroys: [],
  } as const;
  const versions = [{ sha256, carriedBy: [[0, 0]] }] as const;
  const flags = { privileged: false, nonIdempotent: false, terminateBlockers: false, concurrentIndex: null };
  const json = catalogJson({
    catalogFormat: 1,
    product: 'parcels',
    format: 'sourcegraph',
    databases: [
      {
        name: 'app',
        idOrder: 'numeric',
        migrations: [{ id: '1', name: 'x', parents: [], ...flags, up: versions, down: versions }],
        squashRoots: [],
      },
    ],
    labels: [{ label: 'v1', publishedAt: null }],
    releases: [{ labels: [0], sets: { app: [[0, 0]] } }],
    scripts: { [sha256]: { ...facts, sessionState: [], settings: [], countAfresh: false, notes: [] } },
  });
  expect(createHash('sha256').update(json).digest('hex')).toBe(
    'e6bf6dc05d64348ead14b5662d0581ae44968be2b988de167f69c3dc4bf1f637',
  );
});

describe('a catalog cannot be opened', () => {
  const damage = (directory: string, change: (text: string) => string) => {
    const file = join(directory, 'catalog.json');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
  };

  test('when there is none', async () => {
    await expect(openCatalog(temporaryDirectory())).rejects.toThrow('There is no readable catalog in');
  });

  test.each([
    ['when it is cut short', (text: string) => text.slice(0, -20), 'is damaged: not JSON'],
    ['when a field is missing', (text: string) => text.replace('"labels"', '"lables"'), 'is damaged at labels'],
    [
      'when an id is a number',
      (text: string) => text.replace('"id":"1"', '"id":1'),
      'is damaged at databases.0.migrations.0.id',
    ],
    [
      'when a newer version wrote it',
      (text: string) => text.replace('"catalogFormat":1', '"catalogFormat":2'),
      'has format 2',
    ],
  ])('%s', async (_, change, message) => {
    const { directory } = await written();
    damage(directory, change);
    await expect(openCatalog(directory)).rejects.toThrow(message);
  });

  test('nor a script that is missing, or is no hash', async () => {
    const { directory, texts } = await written();
    const [sha256 = ''] = texts.keys();
    const opened = await openCatalog(directory);
    rmSync(join(directory, 'scripts', `${sha256}.sql`));
    await expect(opened.readScript(sha256)).rejects.toThrow('has no script');
    await expect(opened.readScript('../catalog')).rejects.toThrow('is not the hash of a script');
  });
});

test('a release is found by its label, with or without the v, and a misspelt one gets suggestions', async () => {
  const { catalog } = await built(migration('1_x', []));
  expect(findRelease(catalog, '1.10.0')).toMatchObject({ label: { label: 'v1.10.0' }, labelIndex: 1, aliases: [] });
  expect(() => findRelease(catalog, 'v1.11.0')).toThrow(/no release "v1\.11\.0"\. Nearest: v1\.10\.0/);
});
