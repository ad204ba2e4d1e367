import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { repository } from '../support/shared.js';

const dist = path.join(repository, 'dist');

/** Rooms whose modules only define things. The others begin to work when they are imported, or live in Temporal's sandbox. */
const ROOMS = [
  'activities',
  'catalog',
  'config',
  'contract',
  'data',
  'fleet',
  'journal',
  'plan',
  'postgres',
  'process',
  'step',
  'temporal',
];

// vitest is more lenient than Node about the named exports of CommonJS packages: `@temporalio/proto` has none.
test.skipIf(!existsSync(dist))('every compiled module loads in plain Node', () => {
  const modules = ROOMS.filter((room) => existsSync(path.join(dist, room))).flatMap((room) =>
    (readdirSync(path.join(dist, room), { recursive: true }) as string[])
      .filter((file) => file.endsWith('.js'))
      .map((file) => pathToFileURL(path.join(dist, room, file)).href),
  );
  const program = `
    const failures = [];
    for (const file of ${JSON.stringify(modules)}) await import(file).catch((error) => failures.push(file + ': ' + error.message));
    console.log(JSON.stringify(failures));
    process.exit();`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(JSON.parse(printed)).toEqual([]);
});

test.skipIf(!existsSync('/dev/full'))(
  'output that finds the disk full is an error in one line, not a stack',
  () => {
    const explain = 'node scripts/run.mjs cli.js explain';
    const { status, stderr } = spawnSync('sh', ['-c', `${explain} > /dev/full`], { cwd: repository, encoding: 'utf8' });
    expect({ status, last: stderr.trim().split('\n').at(-1) }).toEqual({
      status: 1,
      last: 'error: The output cannot be written (ENOSPC).',
    });
  },
  60_000,
); // it may have to build
