import { afterEach, expect, test } from 'vitest';
import { listText } from '../../src/cli/commands/data-list.js';
import { entry, irreversible, LETTERS, openDataShop, reversible, type DataShop } from '../support/data-shop.js';
import { expectNoLeaks } from '../support/postgres.js';
import { collectingTerminal } from '../unit/cli/collecting-terminal.js';

let shop: DataShop;
afterEach(async () => {
  await expectNoLeaks(shop.database);
  await shop.close();
});

const list = () => shop.engine.data({ instance: 'acme' });
const stands = (last: number) =>
  shop.database.query(`delete from migration_logs where version > $1`, [last]).then(() => list());

test('each data migration is listed with who says how far it is, whether it runs here, and where it must be', async () => {
  shop = await openDataShop([
    reversible(1, 'v2.0.0'),
    reversible(2, 'v2.0.0', LETTERS, { deprecated: 'v3.0.0' }),
    reversible(3, 'v2.0.0', LETTERS, { deprecated: 'v4.0.0' }),
    irreversible(4, 'v4.0.0', 'select 1 / 0'),
    entry(5, { introduced: 'v4.0.0', reversible: false, activity: { taskQueue: 'q', type: 't' } }),
  ]);
  await shop.database.query(`
    create table out_of_band_migrations (id integer primary key, progress double precision not null, last_updated timestamptz,
      apply_reverse boolean not null default false);
    insert into out_of_band_migrations (id, progress) values (2, 0.65), (5, 0.5)`);
  const { release, dataMigrations } = await list();
  expect(release).toBe('v4.0.0');
  const facts = dataMigrations.map(({ id, handler, reversal, progress, progressFrom, fits, expected }) => ({
    id, handler, reversal, progress, progressFrom, fits, expected,
  })); // prettier-ignore
  const common = { handler: 'sql', reversal: 'reversible', progress: 0.25, progressFrom: 'data', fits: true };
  expect(facts).toEqual([
    { id: '1', ...common, expected: null },
    { id: '2', ...common, progress: 0.65, progressFrom: 'record', fits: false, expected: 1 },
    { id: '3', ...common, expected: 1 },
    { id: '4', ...common, reversal: 'irreversible', progress: null, progressFrom: null, expected: null },
    { id: '5', ...common, handler: 'activity', reversal: 'irreversible', progress: 0.5, progressFrom: 'record', expected: null },
  ]); // prettier-ignore
  const text = listText('acme', { release, dataMigrations }, collectingTerminal().colors);
  expect(text).toMatch(/^ 2 +frontend .* no +65 % \(noted\) +100 %$/m);
  expect(text).toMatch(/^ 4 +frontend .* none +yes +unknown$/m);
});

test('before the release that introduces it rows must be at 0; between releases nothing can be run, and nobody says where they must be', async () => {
  shop = await openDataShop([reversible(7, 'v3.0.0')]);
  expect(await stands(2)).toMatchObject({
    release: 'v2.0.0',
    dataMigrations: [{ id: '7', fits: false, expected: 0, progress: null }],
  });
  await shop.database.query(`delete from migration_logs where version = 1`);
  const between = await list();
  expect(between).toMatchObject({ release: null, dataMigrations: [{ expected: null }] });
  const text = listText('acme', between, collectingTerminal().colors);
  expect(text).toContain('acme stands between releases.');
  expect(text).not.toContain('pg-unwind data run');
});

test('a product without any says so', async () => {
  shop = await openDataShop([]);
  const none = await list();
  expect(none.dataMigrations).toEqual([]);
  expect(listText('acme', none, collectingTerminal().colors)).toBe(
    'acme stands at v4.0.0; its product has no data migrations.',
  );
});
