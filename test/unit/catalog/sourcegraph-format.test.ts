import { describe, expect, test } from 'vitest';

import { createSourcegraphFormat } from '../../../src/catalog/formats/sourcegraph.js';
import { canonicalText } from '../../../src/catalog/formats/sourcegraph-text.js';
import { analyseScript } from '../../../src/postgres/script.js';
import { fixture, missingFixtures } from '../../support/shared.js';
import { inFolder, migration, treeOf, type Files } from './sources.js';

interface Golden {
  errors: {
    rule: string;
    name: string;
    files: Files;
    expected: { class: string; ids: number[]; file?: string; unknown?: number; detail?: string };
  }[];
  accepted: {
    name: string;
    files: Files;
    expected: {
      ids: number[];
      parents?: Record<string, number[]>;
      index?: { id: number; indexName: string; tableName: string };
    };
  }[];
  notCaught: { name: string; files: Files; ids: number[] }[];
}

const missing = missingFixtures();
if (missing !== null) console.warn(`skipped: ${missing}`);
const golden: Golden =
  missing === null ? fixture<Golden>('definition-errors.json') : { errors: [], accepted: [], notCaught: [] };

const read = (files: Files) => createSourcegraphFormat().read(treeOf(files), 'main');

describe.skipIf(missing !== null)('the golden definitions', () => {
  test('hold something', () => {
    expect(golden.errors.length).toBeGreaterThan(20);
  });

  for (const { rule, name, files, expected } of golden.errors) {
    test(`${rule} ${name}: is reported, and nothing else`, async () => {
      const { problems } = await read(files);
      expect(problems).toHaveLength(1);
      const [problem] = problems;
      expect(problem).toMatchObject({ rule, class: expected.class, ids: expected.ids.map(String), database: 'main' });
      if (expected.file !== undefined) expect(problem!.file).toBe(expected.file);
      if (expected.unknown !== undefined) expect(problem!.message).toContain(String(expected.unknown));
      if (expected.detail !== undefined) expect(problem!.message).toContain(expected.detail);
    });
  }

  for (const { name, files, expected } of golden.accepted) {
    test(`accepted: ${name}`, async () => {
      const { problems, databases } = await read(files);
      expect(problems).toEqual([]);
      const { migrations } = databases[0]!;
      expect(migrations.map(({ id }) => Number(id))).toEqual(expected.ids);
      for (const [id, parents] of Object.entries(expected.parents ?? {})) {
        expect(migrations.find((it) => it.id === id)?.parents.map(Number)).toEqual(parents);
      }
      if (expected.index !== undefined) {
        const { id, indexName, tableName } = expected.index;
        const built = migrations.find((it) => it.id === String(id))?.concurrentIndex;
        expect(built).toEqual({ index: indexName, table: tableName });
      }
    });
  }

  for (const { name, files, ids } of golden.notCaught) {
    test(`accepted here too, and run outside of a transaction: ${name}`, async () => {
      const { problems, databases } = await read(files);
      expect(problems).toEqual([]);
      const { down } = databases[0]!.migrations.find(({ id }) => id === String(ids[0]))!;
      expect((await analyseScript(down.text)).execution).toBe('concurrent');
    });
  }
});

test('every problem of a source is reported at once', async () => {
  const { problems } = await read({
    'a/1_x/up.sql': 'SELECT 1',
    ...inFolder('a', migration('2_y', [9], { down: 'CREATE INDEX CONCURRENTLY i ON t (a)' })),
    ...inFolder('b', migration('1_x', [], { up: 'CREATE EXTENSION hstore' }), migration('2_y', [])),
  });
  expect(problems.map(({ database, rule }) => `${database} ${rule}`)).toEqual([
    'a V1',
    'a V1',
    'a V5',
    'a V2',
    'b V8',
    'b V3',
  ]);
});

test('two folders with one id are a problem', async () => {
  const { problems } = await read({ ...migration('1_x', []), ...migration('01_y', []) });
  expect(problems.map(({ rule, file }) => [rule, file])).toContainEqual(['V1', '1_x']);
});

test('a tree without migrations says what it found', async () => {
  const { problems } = await read({ 'README.md': 'nothing', 'src/main.c': '' });
  expect(problems[0]?.message).toContain('found README.md, src');
});

test('each folder with migrations is a database; others are none', async () => {
  const { problems, databases } = await read({
    ...inFolder('frontend', migration('1_x', [])),
    ...inFolder('codeintel', migration('1_x', [])),
    'scripts/check.sql': 'SELECT 1',
    'README.md': '',
  });
  expect(problems).toEqual([]);
  expect(databases.map(({ name }) => name)).toEqual(['codeintel', 'frontend']);
});

test('an index name or table in quotes, or with a schema, is understood', async () => {
  const { problems, databases } = await read({
    ...migration('1_x', []),
    ...migration('2_y', [1], {
      up: 'create index concurrently "My Index" on s."T" (a)',
      extra: 'createIndexConcurrently: true\nbestEffortTerminateBlockingTransactions: true\n',
    }),
  });
  expect(problems).toEqual([]);
  expect(databases[0]!.migrations[1]).toMatchObject({
    concurrentIndex: { index: 'My Index', table: 's.T' },
    terminateBlockers: true,
    nonIdempotent: false,
  });
});

test('words in comments and strings break no rule', async () => {
  const up = "-- CREATE EXTENSION hstore; CREATE INDEX CONCURRENTLY i ON t (a)\nSELECT 'DROP EXTENSION hstore'";
  const { problems } = await read(migration('1_x', [], { up }));
  expect(problems).toEqual([]);
});

test('an extension in a DO block needs the privilege, too', async () => {
  const { problems } = await read(migration('1_x', [], { up: 'DO $$BEGIN CREATE EXTENSION hstore; END$$' }));
  expect(problems.map(({ rule }) => rule)).toEqual(['V8']);
});

test.each([
  ['MY QUERY;', 'MY QUERY;'],
  ['  MY QUERY;  ', 'MY QUERY;'],
  ['-- +++\nkey: value\n-- +++\n\nMY QUERY;\n', 'MY QUERY;'],
  ['BEGIN;\n\nMY QUERY;\n\nCOMMIT;\n', 'MY QUERY;'],
  ['-- +++\nkey: value\n-- +++\n\nBEGIN;\n\nMY QUERY;\n\nCOMMIT;\n', 'MY QUERY;'],
  ["SELECT '100%';", "SELECT '100%';"],
])('the canonical text of %j', (raw, canonical) => {
  expect(canonicalText(raw)).toBe(canonical);
});
