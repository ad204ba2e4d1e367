import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';

import { buildCatalog } from '../../../src/catalog/build.js';
import { catalogJson } from '../../../src/catalog/store.js';
import type { SourceProblem } from '../../../src/contract/catalog.js';
import { UnwindError } from '../../../src/contract/errors.js';
import { repository } from '../../support/shared.js';
import { folderOfReleases, inFolder, migration, type Files } from './sources.js';

const FILE = 'data-migrations.yaml';
const BATCH =
  'with moved as (delete from a where id in (select id from a where id > $2::int limit $1) returning id) ' +
  'select count(*) as rows, max(id)::text as cursor from moved';
const sql = { progress: 'select 1', forward: BATCH };

/** A sound definition; keys with undefined are left out. */
const definition = (keys: Readonly<Record<string, unknown>> = {}) => {
  return { id: 7, database: 'app', description: 'moves a', introduced: 'v1.0.0', sql, ...keys };
};

const APP = inFolder('app', migration('1_a', []), migration('2_b', [1]));
const withData = (content: unknown, schema: Files = APP): Files => {
  return { ...schema, [FILE]: typeof content === 'string' ? content : stringify({ dataMigrations: content }) };
};

/** v1.0.0 has one migration less than the others, so that they are two releases. */
const FIRST = inFolder('app', migration('1_a', []));
const build = (releases: Readonly<Record<string, Files>>) =>
  buildCatalog({ product: 'parcels', format: 'sourcegraph', source: folderOfReleases(releases) });
const buildFile = (content: unknown) => build({ 'v1.0.0': FIRST, 'v2.0.0': withData(content) });

async function problemsOf(building: Promise<unknown>): Promise<SourceProblem[]> {
  const error = await building.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UnwindError);
  return (error as UnwindError).details['problems'] as SourceProblem[];
}

test('every key of a definition stands in the catalog, and its queries among the scripts', async () => {
  const checks = { forward: 'select true', reverse: 'select not true' };
  const { catalog, texts } = await buildFile([
    definition({
      team: 'storage',
      introduced: '1.0.0',
      deprecated: '2.0.0',
      estimate: { rows: 500 },
      sql: { ...sql, reverse: `-- back\n${BATCH}\n`, verify: checks },
    }),
  ]);
  const [found] = catalog.dataMigrations!;
  expect(found).toMatchObject({ id: '7', database: 'app', description: 'moves a', team: 'storage' });
  expect(found).toMatchObject({
    introduced: 'v1.0.0',
    deprecated: 'v2.0.0',
    reversal: 'reversible',
    estimatedRows: 500,
  });
  const [{ handler, carriedBy } = { handler: undefined, carriedBy: [] }, ...others] = found!.handlers;
  expect(others).toEqual([]);
  expect(carriedBy).toEqual([[1, 1]]);
  if (handler?.kind !== 'sql') throw new Error('not queries');
  const { progress, forward, reverse, verifyForward, verifyReverse } = handler;
  expect([progress, forward, reverse, verifyForward, verifyReverse].map((it) => texts.get(it!))).toEqual([
    'select 1',
    BATCH,
    `-- back\n${BATCH}`,
    'select true',
    'select not true',
  ]);
  expect(Object.keys(catalog.scripts)).not.toContain(progress);
});

test.each([
  ['has a reverse', { sql: { ...sql, reverse: BATCH } }, 'reversible'],
  ['has none', { sql }, 'irreversible'],
  ['has none and says so', { sql, reversible: false }, 'irreversible'],
  ['need not go back', { sql, nonDestructive: true }, 'notNeeded'],
  ['need not go back, though it can', { sql: { ...sql, reverse: BATCH }, nonDestructive: true }, 'notNeeded'],
])('a data migration that %s has its reversal said so', async (_, keys, reversal) => {
  expect((await buildFile([definition(keys)])).catalog.dataMigrations).toMatchObject([{ reversal }]);
});

test('an activity is a handler, at least once unless it says otherwise', async () => {
  const activity = { taskQueue: 'shop-data', type: 'moveAvatars' };
  const times = { callTimeoutSeconds: 120, heartbeatSeconds: 5, maximumAttempts: 3 };
  const { catalog } = await buildFile([
    definition({ id: 'b', sql: undefined, activity, reversible: true }),
    definition({ id: 'c', sql: undefined, activity: { ...activity, exactlyOnce: true }, nonDestructive: true }),
    definition({ id: 'd', sql: undefined, activity: { ...activity, ...times }, reversible: false }),
  ]);
  expect(catalog.dataMigrations!.map(({ handlers }) => handlers[0]!.handler)).toEqual([
    { kind: 'activity', ...activity, exactlyOnce: false },
    { kind: 'activity', ...activity, exactlyOnce: true },
    { kind: 'activity', ...activity, exactlyOnce: false, ...times },
  ]);
});

describe('a broken definition', () => {
  const query = (text: string) => [definition({ sql: { ...sql, forward: text } })];
  const check = (text: string) => [definition({ sql: { ...sql, progress: text } })];
  const broken: [name: string, content: unknown, ...words: string[]][] = [
    ['an unknown key', [definition({ introducd: 'v1' })], '"introducd" is no known key; known: id, database, desc'],
    [
      'an unknown key of a query',
      [definition({ sql: { ...sql, back: BATCH } })],
      '"sql.back" is no known key; known: p',
    ],
    ['no database', [definition({ database: undefined })], '"database" is missing; it must be a text.'],
    ['no text', [definition({ team: 7 })], '"team" is a number; it must be a text: write it in quotes.'],
    ['no value', [definition({ team: null })], '"team" has no value'],
    ['an empty text', [definition({ description: ' ' })], '"description" is empty.'],
    ['a label as a number', `dataMigrations: [{${inline({ introduced: '1.10' })}}]`, '"introduced" is a number'],
    [
      'an estimate that is no number',
      [definition({ estimate: { rows: 'many' } })],
      '"estimate.rows" is a text; it must',
    ],
    ['a negative estimate', [definition({ estimate: { rows: -1 } })], '"estimate.rows" is negative.'],
    ['no handler', [definition({ sql: undefined })], 'It has no handler: give it "sql" or "activity".'],
    [
      'two handlers',
      [definition({ activity: { taskQueue: 'q', type: 't' } })],
      'It has both "sql" and "activity"; keep one of them.',
    ],
    [
      'an activity without a type',
      [definition({ sql: undefined, reversible: true, activity: { taskQueue: 'q' } })],
      '"activity.type" is missing',
    ],
    [
      'an activity that says nothing of its reverse',
      [definition({ sql: undefined, activity: { taskQueue: 'q', type: 't' } })],
      'set "reversible" to true or false.',
    ],
    ['no progress', [definition({ sql: { forward: BATCH } })], '"sql.progress" is missing'],
    ['no forward', [definition({ sql: { progress: 'select 1' } })], '"sql.forward" is missing'],
    ['reversible without a reverse', [definition({ reversible: true })], 'It is reversible without "sql.reverse"'],
    [
      'a reverse that is not to be used',
      [definition({ reversible: false, sql: { ...sql, reverse: BATCH } })],
      'It has "sql.reverse" and "reversible: false"; take one of them out.',
    ],
    [
      'a verify of a reverse that is not there',
      [definition({ sql: { ...sql, verify: { reverse: 'select true' } } })],
      'It has "sql.verify.reverse" without "sql.reverse"',
    ],
    [
      'an id twice',
      [definition(), definition({ id: '7' })],
      'The id 7 is there twice; give this one (entry 2) another.',
    ],
    ['an unknown database', [definition({ database: 'ap' })], 'There is no database "ap"; this release has app.'],
    [
      'an introduced that is no release',
      [definition({ introduced: 'v1.0.1' })],
      '"introduced" is v1.0.1, which is no release of this source; nearest: v1.0.0, v2.0.0.',
    ],
    ['a deprecated that is no release', [definition({ deprecated: 'v9' })], '"deprecated" is v9, which is no release'],
    [
      'an introduced after its deprecated',
      [definition({ introduced: 'v2.0.0', deprecated: 'v1.0.0' })],
      'are the wrong way round: v2.0.0 holds every migration of v1.0.0',
    ],
    [
      'a window without a release',
      [definition({ introduced: '2.0.0', deprecated: 'v2.0.0' })],
      'are the same release, so no release could run it.',
    ],
    [
      'a query that is not SQL',
      query('select $1\nfrom where'),
      'The query "forward" cannot be parsed: syntax error at or near "where" (line 2, column 6 of the query).',
    ],
    ['a query of psql', check('\\d users'), 'The query "progress" cannot be parsed: psql meta-command "\\d"'],
    ['a query of comments', check('-- later'), 'The query "progress" holds no statement.'],
    ['two statements', check('select 1; select 2'), 'The query "progress" holds 2 statements; a query is exactly one.'],
    ['transaction control', query(`begin; ${BATCH}; commit`), 'The query "forward" holds transaction control'],
    [
      'a batch that gives a row for each row',
      query('update a set b = 1 where id < $1 returning id'),
      'The query "forward" must be a SELECT that gives one row',
    ],
    ['a batch without a limit', query('select 1 as rows, $2 as cursor'), 'The query "forward" does not use $1'],
    [
      'a third parameter',
      query('select $1 as rows, $3 as cursor'),
      'uses $3; it has $1, how many rows at most, and $2',
    ],
    ['a batch without a cursor', query('select $1 as rows, 2'), 'The query "forward" has no column "cursor"; it gives'],
    ['a batch that gives nothing', query('values ($1, 2)'), 'has no column "rows" and "cursor"'],
    [
      'a batch that lets go of locks',
      query('select pg_advisory_unlock_all() as rows, $1 as cursor'),
      'The query "forward" cannot be run: pg_advisory_unlock_all',
    ],
    ['a progress with a parameter', check('select $1::int'), 'uses $1; only forward and reverse have parameters.'],
    ['a progress that changes', check('with d as (delete from a) select 1'), 'The query "progress" changes rows'],
    ['a progress that makes a table', check('select 1 into b'), 'The query "progress" must be a SELECT'],
    ['a progress of two columns', check('select 1, 2'), 'The query "progress" gives 2 columns; it must give one.'],
  ];

  test.each(broken)('%s is told with file and id, and nothing else', async (_, content, ...words) => {
    const problems = await problemsOf(buildFile(content));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ rule: 'data', file: `v2.0.0/${FILE}`, ids: ['7'] });
    for (const word of words) expect(problems[0]!.message).toContain(word);
  });

  /** The keys of a sound definition in YAML's short form. */
  function inline(keys: Readonly<Record<string, string>>): string {
    const all = { id: '7', database: 'app', description: 'x', sql: JSON.stringify(sql), ...keys };
    return Object.entries(all)
      .map(([key, value]) => `${key}: ${value}`)
      .join(', ');
  }
});

describe('a broken file', () => {
  test.each([
    ['is not YAML', 'dataMigrations: [', 'The file is not YAML'],
    ['names an anchor that is not there', 'dataMigrations: [*a]', 'The file is not YAML'],
    ['is empty', '', 'The file holds nothing; it must hold one key, "dataMigrations", with a list.'],
    ['has another key', 'migrations: []', 'The file has unknown keys (migrations)'],
    ['has no list', 'dataMigrations: {}', '"dataMigrations" is a group of keys; it must be a list.'],
    ['has a text for an entry', 'dataMigrations: [x]', 'Entry 1: It is a text; it must be a group of keys.'],
    ['has an entry without an id', [definition({ id: undefined })], 'Entry 1: "id" is missing'],
    ['has an id with a slash', [definition({ id: 'a/b' })], 'Entry 1: "id" must be a whole number, or letters'],
  ])('that %s is told', async (_, content, words) => {
    const problems = await problemsOf(buildFile(content));
    expect(problems).toMatchObject([{ rule: 'data', file: `v2.0.0/${FILE}`, ids: [] }]);
    expect(problems[0]!.message).toContain(words);
  });

  test('whose name is misspelt is told, since nobody would read it', async () => {
    const problems = await problemsOf(build({ 'v1.0.0': { ...FIRST, 'data-migrations.yml': 'dataMigrations: []' } }));
    expect(problems).toMatchObject([{ rule: 'data', file: 'data-migrations.yml' }]);
  });

  test('has all its problems told at once, with those of the migrations, and one of several releases once', async () => {
    const content = [
      definition({ sql: { forward: 'selec', reverse: 'select 1; select 2' }, introduced: 'v7', team: null }),
      definition({ id: 8, database: 'none' }),
    ];
    const bad = { ...withData(content), ...inFolder('app', migration('2_b', [1], { up: 'DROP TABL t' })) };
    const problems = await problemsOf(build({ 'v1.0.0': FIRST, 'v2.0.0': bad, 'v2.0.1': bad }));
    expect(problems.map(({ rule, file, ids }) => `${file} ${ids.join()} ${rule}`)).toEqual([
      'v2.0.1/app/2_b/up.sql 2 text',
      ...Array<string>(4).fill(`v2.0.1/${FILE} 7 data`),
      `v2.0.1/${FILE} 8 data`,
      `v2.0.1/${FILE} 7 data`,
    ]);
    expect(problems[1]!.message).toContain('(so in 2 releases since v2.0.0)');
  });
});

describe('a data migration over several releases', () => {
  const other = { ...sql, progress: 'select 0' };

  test('keeps each handler with the labels that carry it, oldest first, and the newest of all else', async () => {
    const { catalog, texts } = await build({
      'v1.0.0': withData([definition({ description: 'first', sql: other })], FIRST),
      'v1.1.0': withData([definition({ description: 'second' })], FIRST),
      'v1.2.0': withData([definition({ description: 'third', sql: other })]),
      'v1.3.0': withData([definition({ description: 'last', deprecated: 'v1.3.0' })]),
      'v2.0.0': APP,
    });
    const [found, ...others] = catalog.dataMigrations!;
    expect(others).toEqual([]);
    expect(found).toMatchObject({ description: 'last', introduced: 'v1.0.0', deprecated: 'v1.3.0' });
    const carried = found!.handlers.map(({ handler, carriedBy }) => [
      handler.kind === 'sql' ? texts.get(handler.progress) : null,
      carriedBy,
    ]);
    expect(carried).toEqual([
      [
        'select 0',
        [
          [0, 0],
          [2, 2],
        ],
      ],
      [
        'select 1',
        [
          [1, 1],
          [3, 3],
        ],
      ],
    ]);
  });

  test('may have named releases before that are none: only the newest definition counts', async () => {
    const { catalog } = await build({
      'v1.0.0': withData([definition({ introduced: 'v0.9.0', deprecated: 'v1.5.0' })], FIRST),
      'v2.0.0': withData([definition()]),
    });
    expect(catalog.dataMigrations).toMatchObject([{ introduced: 'v1.0.0', deprecated: null }]);
  });

  test('stays in its database', async () => {
    const both = { ...APP, ...inFolder('log', migration('1_a', [])) };
    const problems = await problemsOf(
      build({ 'v1.0.0': withData([definition()], both), 'v2.0.0': withData([definition({ database: 'log' })], both) }),
    );
    expect(problems).toMatchObject([{ rule: 'data', file: `v2.0.0/${FILE}`, database: 'log', ids: ['7'] }]);
    expect(problems[0]!.message).toBe(
      'It is in the database "log" and was in "app" in v1.0.0; give it an id of its own.',
    );
  });

  test('has its window in the order of the id sets, not of the numbers', async () => {
    const big = inFolder('app', migration('1_a', []), migration('2_b', [1]), migration('3_c', [2]));
    const releases = { 'v1.0.0': FIRST, 'v1.9.9': big, 'v2.0.0': APP };
    const window = (introduced: string, deprecated: string) =>
      build({ ...releases, 'v2.0.1': withData([definition({ introduced, deprecated })], big) });
    expect((await window('v2.0.0', 'v1.9.9')).catalog.dataMigrations).toHaveLength(1);
    expect(await problemsOf(window('v1.9.9', 'v2.0.0'))).toMatchObject([{ ids: ['7'], file: `v2.0.1/${FILE}` }]);
    // two labels of one release: by their order in the source
    expect((await window('v1.9.9', 'v2.0.1')).catalog.dataMigrations).toHaveLength(1);
    expect(await problemsOf(window('v2.0.1', 'v1.9.9'))).toMatchObject([{ ids: ['7'] }]);
  });

  test('is listed in the natural order of the ids', async () => {
    const { catalog } = await buildFile(['10', '9', 'b2', 'b10', 2].map((id) => definition({ id })));
    expect(catalog.dataMigrations!.map(({ id }) => id)).toEqual(['2', '9', '10', 'b2', 'b10']);
  });
});

test('two builds of one source have the same bytes, whatever the order of the entries', async () => {
  const entries = [definition(), definition({ id: 10 }), definition({ id: 9, sql: { ...sql, reverse: BATCH } })];
  const [one, two, three] = [
    await buildFile(entries),
    await buildFile(entries),
    await buildFile([...entries].reverse()),
  ];
  expect(catalogJson(one.catalog)).toBe(catalogJson(two.catalog));
  expect(catalogJson(one.catalog)).toBe(catalogJson(three.catalog));
  expect(JSON.parse(catalogJson(one.catalog))).toEqual(one.catalog);
});

test('an empty list is a catalog without data migrations, byte for byte', async () => {
  const [without, empty] = [await build({ 'v1.0.0': APP }), await build({ 'v1.0.0': withData([]) })];
  expect(catalogJson(empty.catalog)).toBe(catalogJson(without.catalog));
  expect(Object.keys(without.catalog)).not.toContain('dataMigrations');
});

test('the example of docs/catalog.md can be built', async () => {
  const text = readFileSync(join(repository, 'docs/catalog.md'), 'utf8');
  const [, example = ''] = /^```yaml\n(dataMigrations:\n[^]*?)^```$/m.exec(text) ?? [];
  const migrations = [migration('1_a', []), migration('2_b', [1]), migration('3_c', [2])];
  const { catalog } = await build({
    'v2.0.0': inFolder('frontend', ...migrations.slice(0, 1)),
    'v3.0.0': inFolder('frontend', ...migrations.slice(0, 2)),
    'v4.0.0': withData(example, inFolder('frontend', ...migrations)),
  });
  expect(catalog.dataMigrations).toMatchObject([
    { id: '7', reversal: 'reversible', estimatedRows: 1_000_000, handlers: [{ handler: { kind: 'sql' } }] },
    { id: 'avatars', reversal: 'reversible', handlers: [{ handler: { kind: 'activity', exactlyOnce: true } }] },
  ]);
});
