import { expect, onTestFinished, test } from 'vitest';
import { inFolder, migration, type Files } from '../unit/catalog/sources.js';
import { buildLetters, DATA, openLetters } from './letters-shop.js';

const LETTERS_TABLE = migration('1_letters', [], {
  up: `create table letters (id bigint primary key, text text not null); create table witness (n serial, what text);
    insert into letters select n, 'letter ' || n from generate_series(1, 100) n;`,
  down: 'drop table witness; drop table letters;',
});
const part = (n: number) =>
  migration(`${n}_part`, [n - 1], {
    up: `create function part_${n}() returns int language sql as 'select ${n}';`,
    down: `drop function part_${n}();`,
  });
const upTo = (last: number) =>
  inFolder('frontend', LETTERS_TABLE, ...Array.from({ length: last - 1 }, (_, at) => part(at + 2)));

/** Letters in capitals since v2.0.0; and one that v4.0.0 introduced, so that both are undone there. */
const NEWEST: Files = {
  'data-migrations.yaml': DATA.replace(/ +deprecated: v3.0.0\n/, '').concat(`  - id: 8
    database: frontend
    description: Nothing to move
    introduced: v4.0.0
    sql:
      progress: select null::float8
      forward: select 0 * $1::int as rows, $2::text as cursor
      reverse: select 0 * $1::int as rows, $2::text as cursor
`),
};

const RELEASES: Readonly<Record<string, Files>> = {
  'v1.0.0': upTo(1),
  'v2.0.0': upTo(2),
  'v3.0.0': upTo(3),
  'v4.0.0': upTo(4),
  'v5.0.0': { ...upTo(5), ...NEWEST },
};

// The queries fit down to v2.0.0: there the data is asked once more, on arrival and behind a stop.
test.each(['v3.0.0', 'v2.0.0'])(
  'what the application writes at %s, below the release where its data was taken back, is found too',
  async (stop) => {
    const catalog = await buildLetters(RELEASES);
    onTestFinished(() => catalog.remove());
    const shop = await openLetters(catalog);
    expect(await (await shop.go('v5.0.0', 'up')).unaided()).toMatchObject({ outcome: 'completed' });
    await shop.database.query('update letters set text = upper(text)');
    const down = { instance: shop.name, to: 'v1.0.0' };
    const { plan } = await shop.engine.plan({ ...down, direction: 'down' });
    expect(plan.legs.map(({ release, data = [] }) => [release, data.map(({ id }) => id)])).toEqual([
      ['v4.0.0', ['8', '7']],
      ['v3.0.0', []],
      ['v2.0.0', []],
      ['v1.0.0', []],
    ]);
    const run = await shop.engine.start('downgrade', { ...down, via: [stop], acceptDataLoss: plan.id });
    await run.inState('atStop');
    expect(await shop.database.query('select from letters where text = upper(text)')).toEqual([]);
    // The application of that release reads both forms, and writes the newer one.
    await shop.database.query(`insert into letters values (1000, 'LETTER 1000')`);
    await run.update('continue');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ during: 'verify', failure: 'DirtyDatabase', reasons: [{ code: 'dataNotAtEnd' }] }]);

    await run.update('abort');
    await run.unaided();
    const again = await shop.go('v1.0.0', 'down');
    expect(await again.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
    expect(await shop.database.query('select from letters where text = upper(text)')).toEqual([]);
  },
);

test('where that is found at the target itself a new way has nothing to do, and the data migration by itself takes it back', async () => {
  const catalog = await buildLetters(RELEASES);
  onTestFinished(() => catalog.remove());
  const shop = await openLetters(catalog);
  expect(await (await shop.go('v5.0.0', 'up')).unaided()).toMatchObject({ outcome: 'completed' });
  const down = { instance: shop.name, to: 'v2.0.0' };
  const { plan } = await shop.engine.plan({ ...down, direction: 'down' });
  const run = await shop.engine.start('downgrade', { ...down, via: ['v3.0.0'], acceptDataLoss: plan.id });
  await run.inState('atStop');
  await shop.database.query(`insert into letters values (1000, 'LETTER 1000')`);
  await run.update('continue');
  const { parked } = await run.inState('needsOperator');
  const [reason] = parked.flatMap(({ reasons }) => reasons);
  expect(reason).toMatchObject({ code: 'dataNotAtEnd' });
  expect(reason?.remedy).toContain('pg-unwind data run <instance> 7 --reverse');

  await run.update('abort');
  await run.unaided();
  expect(await (await shop.go('v2.0.0', 'down')).unaided()).toMatchObject({ outcome: 'alreadyThere' });
  expect(await shop.database.query('select from letters where text = upper(text)')).toHaveLength(1);
  const alone = await shop.engine.start('dataMigration', { instance: shop.name, id: '7', direction: 'reverse' });
  expect(await alone.unaided()).toMatchObject({ outcome: 'completed' });
  expect(await shop.database.query('select from letters where text = upper(text)')).toEqual([]);
});
