import { join } from 'node:path';
import { expect, test } from 'vitest';

import { main } from '../../../src/cli/main.js';
import { folderOfReleases, inFolder, migration, temporaryDirectory, type Files } from '../catalog/sources.js';
import { collectingTerminal } from './collecting-terminal.js';

const APP = inFolder('app', migration('1_a', []));
const DATA = {
  'data-migrations.yaml': `dataMigrations:
  - id: 7
    database: app
    description: Moves a
    introduced: v1.0.0
    deprecated: v2.0.0
    sql: { progress: select 1, forward: 'select $1 as rows, $2 as cursor', reverse: 'select $1 as rows, $2 as cursor' }
  - id: avatars
    database: app
    description: Moves pictures
    introduced: v1.0.0
    nonDestructive: true
    activity: { taskQueue: shop-data, type: moveAvatars }
`,
};

async function run(...words: readonly string[]): Promise<string> {
  const terminal = collectingTerminal();
  expect(await main(words, { terminal, env: {} })).toBe(0);
  return terminal.printed.join('\n');
}

/** What the two commands print of a catalog whose second release has the files. */
async function printed(files: Files, ...flags: readonly string[]) {
  const out = join(temporaryDirectory(), 'catalog');
  const second = inFolder('app', migration('1_a', []), migration('2_b', [1]));
  const source = folderOfReleases({
    'v1.0.0': inFolder('migrations', APP, files),
    'v2.0.0': inFolder('migrations', second, files),
  });
  return [
    await run('catalog', 'build', '--source', source, '--out', out, ...flags),
    await run('catalog', 'show', out, ...flags),
  ] as const;
}

test('data migrations are counted when a catalog is built, and listed with it', async () => {
  const [built, shown] = await printed(DATA);
  expect(built).toContain('2 migrations in app, 2 scripts, 2 data migrations. Written to');
  expect(shown).toMatch(/^ data migration +database +introduced +deprecated +handler +reversal +description$/m);
  expect(shown).toMatch(/^ 7 +app +v1\.0\.0 +v2\.0\.0 +sql +reversible +Moves a$/m);
  expect(shown).toMatch(/^ avatars +app +v1\.0\.0 +- +activity moveAvatars on shop-data +not needed +Moves pictures$/m);
});

test('nothing is said of data migrations where there are none', async () => {
  const [built, shown] = await printed({});
  expect(built).toContain('2 scripts. Written to');
  expect(shown).not.toContain('data migration');
});

test('data migrations are in the JSON of both commands', async () => {
  const [built, shown] = await printed(DATA, '--json');
  expect(JSON.parse(built)).toMatchObject({ scripts: 2, dataMigrations: 2 });
  expect(JSON.parse(shown)).toMatchObject({ dataMigrations: [{ id: '7', reversal: 'reversible' }, { id: 'avatars' }] });
});
