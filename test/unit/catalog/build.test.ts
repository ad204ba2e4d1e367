import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { buildCatalog, type BuildOptions } from '../../../src/catalog/build.js';
import { findRelease, impliedBy, migrationIds, textAt } from '../../../src/catalog/releases.js';
import { catalogJson } from '../../../src/catalog/store.js';
import type { SourceProblem } from '../../../src/contract/catalog.js';
import { FailureType, UnwindError } from '../../../src/contract/errors.js';
import { hashScript } from '../../../src/postgres/script.js';
import {
  folderOfReleases,
  inFolder,
  migration,
  repositoryOfReleases,
  temporaryDirectory,
  write,
  type Files,
} from './sources.js';

const build = (source: string, options: Partial<BuildOptions> = {}) =>
  buildCatalog({ product: 'parcels', format: 'sourcegraph', source, ...options });

const app = (...files: readonly Files[]) => inFolder('migrations/app', ...files);

async function failure(promise: Promise<unknown>): Promise<UnwindError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UnwindError);
  return error as UnwindError;
}

async function idsPerLabel(source: string, options: Partial<BuildOptions> = {}) {
  const { catalog } = await build(source, options);
  return Object.fromEntries(
    catalog.labels.map(({ label }) => [label, migrationIds(catalog, findRelease(catalog, label).release, 'app')]),
  );
}

describe('sources', () => {
  test('a directory is one release', async () => {
    const source = write(temporaryDirectory(), app(migration('1_x', []), migration('2_y', [1])));
    expect(await idsPerLabel(source, { release: 'v1' })).toEqual({ v1: ['1', '2'] });
    expect(await idsPerLabel(join(source, 'migrations'), { release: 'v1' })).toEqual({ v1: ['1', '2'] });
  });

  test('a directory of one database has the name that is given', async () => {
    const source = write(temporaryDirectory(), migration('1_x', []));
    const { catalog } = await build(source, { release: 'v1', database: 'app' });
    expect(catalog.databases.map(({ name }) => name)).toEqual(['app']);
  });

  test('a folder of directories is one release each, in version order', async () => {
    const source = folderOfReleases({
      'v1.10.0': app(migration('1_x', []), migration('2_y', [1]), migration('3_z', [2])),
      'v1.9.0': app(migration('1_x', []), migration('2_y', [1])),
      'v1.2.0': app(migration('1_x', [])),
    });
    const ids = await idsPerLabel(source);
    expect(Object.keys(ids)).toEqual(['v1.2.0', 'v1.9.0', 'v1.10.0']);
    expect(ids['v1.9.0']).toEqual(['1', '2']);
  });

  test('a repository has a release for each tag that the glob matches, with its date', async () => {
    const first = app(migration('1_x', []));
    const source = repositoryOfReleases([
      ['v0.1.0', { 'README.md': 'no migrations yet' }],
      ['v1.0.0', first],
      ['nightly', first],
      ['v1.1.0', { ...first, ...app(migration('2_y', [1])) }],
    ]);
    const { catalog, skipped } = await build(source, { tags: 'v*' });
    expect(catalog.labels).toEqual([
      { label: 'v1.0.0', publishedAt: '2024-01-02T12:00:00.000Z' },
      { label: 'v1.1.0', publishedAt: '2024-01-04T12:00:00.000Z' },
    ]);
    expect(skipped).toEqual(['v0.1.0']);

    const bundle = join(temporaryDirectory(), 'all.bundle');
    execFileSync('git', ['-C', source, 'bundle', 'create', bundle, '--tags'], { stdio: 'pipe' });
    const others = await Promise.all([build(bundle, { tags: 'v*' }), build(`file://${source}`, { tags: 'v*' })]);
    for (const other of others) expect(catalogJson(other.catalog)).toBe(catalogJson(catalog));
  });

  test('labels with the same ids are one release, known by the first published', async () => {
    const small = app(migration('1_x', []));
    const big = { ...small, ...app(migration('2_y', [1])) };
    const source = repositoryOfReleases([
      ['v5.9.0', small, 1],
      ['v6.0.0', big, 2],
      ['v5.9.17785', big, 3],
    ]);
    const { catalog } = await build(source);
    expect(catalog.labels.map(({ label }) => label)).toEqual(['v5.9.0', 'v5.9.17785', 'v6.0.0']);
    expect(catalog.releases).toEqual([
      { labels: [0], sets: { app: [[0, 0]] } },
      { labels: [2, 1], sets: { app: [[0, 1]] } },
    ]);
  });

  test.each([
    ['there is no such directory', { source: '/nonexistent/source' }, /does not exist/],
    [
      'a glob matches no tag',
      { tags: 'release-*' },
      /No tag .* matches "release-\*"\. It has 1 tags, such as v1\.0\.0/,
    ],
    ['no tag has the path', { path: 'db/migrations' }, /None of the 1 tags .* has a folder "db\/migrations"/],
    ['a URL cannot be read', { source: 'file://user:secret@/nonexistent/x.git', tags: '*' }, /git could not read/],
  ])('says what was found when %s', async (_, options, message) => {
    const source = repositoryOfReleases([['v1.0.0', app(migration('1_x', []))]]);
    const error = await failure(build(source, options));
    expect(error.type).toBe(FailureType.InvalidCatalog);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('secret');
  });

  test('asks for the label when one release is given as a folder of them', async () => {
    const source = write(temporaryDirectory(), app(migration('1_x', [])));
    expect((await failure(build(source))).message).toContain('--release <label>');
  });
});

describe('a migration that changed between releases', () => {
  const release = (down: string, parents: number[] = [1]) =>
    app(migration('1_x', []), migration('2_y', [1]), migration('3_z', parents, { down, name: `z of ${down}` }));

  test('keeps every text with the labels that carry it, the newest last', async () => {
    const source = folderOfReleases({
      'v1.0.0': release('DROP TABLE a'),
      'v1.1.0': release('DROP TABLE b'),
      'v1.2.0': release('DROP TABLE a'),
      'v1.3.0': release('DROP TABLE c'),
    });
    const { catalog, texts } = await build(source);
    const changed = catalog.databases[0]!.migrations.find(({ id }) => id === '3')!;
    expect(changed.down.map(({ sha256, carriedBy }) => [texts.get(sha256), carriedBy])).toEqual([
      ['DROP TABLE b', [[1, 1]]],
      [
        'DROP TABLE a',
        [
          [0, 0],
          [2, 2],
        ],
      ],
      ['DROP TABLE c', [[3, 3]]],
    ]);
    expect(changed.name).toBe('z of DROP TABLE c');
    expect(texts.get(textAt(changed, 'down', 0).sha256)).toBe('DROP TABLE a');
    expect(Object.keys(catalog.scripts).sort()).toEqual([...texts.keys()].sort());
    for (const [sha256, text] of texts) expect(hashScript(text)).toBe(sha256);
  });

  test('has the parents of the newest release', async () => {
    const source = folderOfReleases({ 'v1.0.0': release('SELECT 1', [1]), 'v1.1.0': release('SELECT 1', [2]) });
    const { catalog } = await build(source);
    expect(catalog.databases[0]!.migrations.map(({ id, parents }) => [id, parents])).toEqual([
      ['1', []],
      ['2', ['1']],
      ['3', ['2']],
    ]);
  });

  test('is a problem when its parents run in a circle across releases', async () => {
    const source = folderOfReleases({
      'v1.0.0': app(migration('1_x', []), migration('2_y', [1])),
      'v2.0.0': app(migration('2_y', [], { name: 'squashed migrations' }), migration('1_x', [2])),
    });
    const problems = (await failure(build(source))).details['problems'] as SourceProblem[];
    expect(problems).toMatchObject([{ class: 'migration dependency cycle', database: 'app', ids: ['1', '2'] }]);
  });
});

describe('a squashed release', () => {
  // 1 → 2 → 3 → 4 in v1; v2 folds 1 to 3 into a privileged and an ordinary root; v3 goes on from there.
  const text = (id: number) => ({ up: `CREATE TABLE t${id} ()`, down: `DROP TABLE t${id}` });
  const squash = {
    ...migration('2_squashed', [], { name: 'squashed migrations (privileged)', up: 'SELECT 22', down: '-- Nothing' }),
    ...migration('3_squashed', [2], {
      name: 'squashed migrations (unprivileged)',
      up: 'SELECT 33',
      down: '-- Nothing',
    }),
  };
  const v1 = app(
    migration('1_a', [], text(1)),
    migration('2_b', [1], text(2)),
    migration('3_c', [2], text(3)),
    migration('4_d', [3], text(4)),
  );
  const v2 = app(squash, migration('4_d', [3], text(4)), migration('5_e', [4], text(5)));
  const v3 = app(
    squash,
    migration('4_d', [3], text(4)),
    migration('5_e', [4], text(5)),
    migration('6_f', [3], text(6)),
  );
  const source = () => folderOfReleases({ 'v1.0.0': v1, 'v2.0.0': v2, 'v3.0.0': v3 });

  test('has the ancestors of its root that earlier releases know', async () => {
    expect(await idsPerLabel(source())).toEqual({
      'v1.0.0': ['1', '2', '3', '4'],
      'v2.0.0': ['1', '2', '3', '4', '5'],
      'v3.0.0': ['1', '2', '3', '4', '5', '6'],
    });
  });

  test("does not replace a migration's own text, name or parents", async () => {
    const { catalog, texts } = await build(source());
    const root = catalog.databases[0]!.migrations.find(({ id }) => id === '3')!;
    expect(root).toMatchObject({ name: 'c', parents: ['2'] });
    expect(root.down.map(({ sha256, carriedBy }) => [texts.get(sha256), carriedBy])).toEqual([
      ['DROP TABLE t3', [[0, 0]]],
    ]);
    expect(texts.get(textAt(root, 'up', 2).sha256)).toBe('CREATE TABLE t3 ()');
    expect([...texts.values()]).not.toContain('SELECT 33');
  });

  test('tells what an instance born after it has without a row', async () => {
    const { catalog } = await build(source());
    const [database] = catalog.databases;
    expect(database!.squashRoots).toEqual(['2', '3']);
    expect([...impliedBy(database!, new Set(['2', '3', '4']))]).toEqual(['1']);
    expect([...impliedBy(database!, new Set(['3']))].sort()).toEqual(['1', '2']);
    expect([...impliedBy(database!, new Set(['1']))]).toEqual([]);
  });

  test('is an ordinary root while no other release explains it', async () => {
    const { catalog, texts } = await build(folderOfReleases({ 'v2.0.0': v2, 'v3.0.0': v3 }));
    const [database] = catalog.databases;
    expect(database!.squashRoots).toEqual([]);
    expect(database!.migrations.map(({ id, parents }) => [id, parents])).toEqual([
      ['2', []],
      ['3', ['2']],
      ['4', ['3']],
      ['5', ['4']],
      ['6', ['3']],
    ]);
    expect([...texts.values()]).toContain('SELECT 33');
  });

  test('may be squashed again', async () => {
    const again = app(
      migration('3_squashed', [], { name: 'squashed migrations (privileged)' }),
      migration('5_squashed', [3], { name: 'squashed migrations (unprivileged)' }),
      migration('6_f', [3], text(6)),
      migration('7_g', [5, 6], text(7)),
    );
    const ids = await idsPerLabel(folderOfReleases({ 'v1.0.0': v1, 'v2.0.0': v2, 'v3.0.0': v3, 'v4.0.0': again }));
    expect(ids['v4.0.0']).toEqual(['1', '2', '3', '4', '5', '6', '7']);
  });
});

describe('a source with broken rules', () => {
  test('is refused with all of them, each with file, ids and rule, once for all releases', async () => {
    const bad = app(migration('1_x', []), migration('2_y', [9]), migration('3_z', [1], { up: 'SELEC 1' }));
    const fresh = { ...bad, ...app(migration('4_w', [1], { up: 'CREATE EXTENSION hstore' })) };
    const { type, message, details } = await failure(
      build(folderOfReleases({ 'v1.0.0': bad, 'v1.1.0': bad, 'v1.2.0': fresh })),
    );
    expect(type).toBe(FailureType.InvalidCatalog);
    expect(details['problems']).toMatchObject([
      { rule: 'V2', class: 'unknown migration', ids: ['2'], database: 'app' },
      { rule: 'V8', file: 'v1.2.0/app/4_w/up.sql', ids: ['4'] },
    ]);
    expect(message.split('\n')).toHaveLength(3);
    expect(message).toContain('so in 3 releases since v1.0.0');
    expect(message).toContain('v1.2.0/app/4_w/up.sql 4: [V8] malformed Postgres extension modification: ');
  });

  test('shows a text that does not parse at its line in the file', async () => {
    const files = app(migration('1_x', [], { up: '\n\nBEGIN;\nSELECT 1;\nSELEC 2;\nCOMMIT;', down: '\\i other.sql' }));
    const { details } = await failure(build(write(temporaryDirectory(), files), { release: 'v1' }));
    expect(details['problems']).toMatchObject([
      {
        rule: 'text',
        file: 'app/1_x/up.sql',
        ids: ['1'],
        message: expect.stringContaining('(line 5, column 1)') as string,
      },
      { rule: 'text', file: 'app/1_x/down.sql', message: expect.stringContaining('psql meta-command') as string },
    ]);
  });

  test('is not one for a text that the engine will refuse to run', async () => {
    const files = app(migration('1_x', [], { down: 'ROLLBACK' }));
    const { catalog } = await build(write(temporaryDirectory(), files), { release: 'v1' });
    expect(Object.values(catalog.scripts).filter(({ refused }) => refused !== null)).toHaveLength(1);
  });
});

test('two builds of one source have the same bytes, wherever it lies', async () => {
  const releases = { 'v1.0.0': app(migration('1_x', [])), 'v1.1.0': app(migration('1_x', []), migration('2_y', [1])) };
  const [one, two] = [await build(folderOfReleases(releases)), await build(folderOfReleases(releases))];
  expect(catalogJson(one.catalog)).toBe(catalogJson(two.catalog));
  expect(JSON.parse(catalogJson(one.catalog))).toEqual(one.catalog);
});

test('an unknown format names those that there are', async () => {
  expect((await failure(build('.', { format: 'flyway' }))).message).toContain('known: sourcegraph');
});
