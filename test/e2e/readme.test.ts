import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import getPort from 'get-port';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { repository } from '../support/shared.js';
import { until } from '../support/until.js';
import { pgUnwind, pgUnwindIn, stop, type Ended, type Running } from './command-line.js';

/** The shell blocks of one chapter of a document, in their order. */
function blocksOf(file: string, heading: string, language = 'sh'): string[] {
  const [, chapter = ''] = readFileSync(path.join(repository, file), 'utf8').split(`\n## ${heading}\n`);
  const [text = ''] = chapter.split(/^## /m);
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block = '']) => block);
}

const GUIDE = blocksOf('README.md', 'Five minutes with a product of your own');
const ANOTHER_TOOL = blocksOf('docs/own-product.md', 'Databases that another tool has migrated');

let folder: string;
let port: number;
let dev: Running | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-guide-'));
  port = await getPort({ host: '127.0.0.1' });
  await pgUnwind(['--version']).ended; // builds
  await psqlWhereMissing();
}, 120_000);

afterAll(async () => {
  if (dev) await stop(dev);
  await rm(folder, { recursive: true, force: true });
});

/** Each block in a shell of its own, that of a reader who has typed the first one. */
async function typed(block: string): Promise<Ended> {
  const [own = ''] = GUIDE;
  const script = [
    own.replace('~/pg-unwind', repository.replace(/\/$/, '')),
    block.replaceAll(':7233', `:${port}`),
  ].join('');
  const env = {
    ...process.env,
    ...{ GIT_AUTHOR_NAME: 'eve', GIT_AUTHOR_EMAIL: 'eve@example.org' },
    ...{ GIT_COMMITTER_NAME: 'eve', GIT_COMMITTER_EMAIL: 'eve@example.org' },
    INIT_CWD: folder, // of the npm that runs this test
    PATH: `${path.join(folder, 'bin')}:${process.env['PATH']}`,
  };
  const ended = promisify(execFile)('bash', ['-e', '-c', script], { cwd: folder, env, timeout: 120_000 });
  return ended.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    ({ code = null, stdout = '', stderr = '' }: { code?: number | null; stdout?: string; stderr?: string }) => ({
      code,
      out: stdout,
      err: stderr,
    }),
  );
}

const lines = (block: string) => block.trimEnd().split('\n');

describe('the five minutes of the README, typed as they stand', () => {
  test('it has the blocks that this test knows', () => {
    expect(GUIDE.map((block) => lines(block)[0])).toEqual([
      expect.stringContaining('pg-unwind() {'),
      'git init -q product',
      expect.stringContaining('pg-unwind catalog build'),
      expect.stringContaining('cat > pg-unwind.yaml'),
      'pg-unwind dev',
      'for name in app billing; do',
      expect.stringContaining('pg-unwind upgrade acme-eu'),
      'pg-unwind check acme-eu',
      expect.stringContaining('pg-unwind downgrade acme-eu'),
    ]);
  });

  test('releases and catalog', async () => {
    expect(await typed(GUIDE[1] ?? '')).toMatchObject({ code: 0 });
    const { code, out, err } = await typed(GUIDE[2] ?? '');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/3 releases, 5 migrations in app, billing[^]*v1\.0\.0[^]*v1\.1\.0[^]*v2\.0\.0/);
    expect((await typed(GUIDE[3] ?? '')).code).toBe(0);
  });

  test('servers, two databases, up', async () => {
    const running = (dev = pgUnwindIn(
      folder,
      lines(GUIDE[4] ?? '')[0]
        ?.split(' ')
        .slice(1) ?? [],
    ));
    await until(() => running.printed().includes('Serving 1 instance'), {
      within: 120_000,
      describe: 'the servers',
      show: () => running.printed(),
    });
    expect(await typed(GUIDE[5] ?? '')).toMatchObject({ code: 0 });
    const { code, out, err } = await typed(GUIDE[6] ?? '');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('acme-eu stands at v2.0.0: 5 of 5 steps done, verified.');
  });

  test('look', async () => {
    const { code, out } = await typed(GUIDE[7] ?? '');
    expect(code).toBe(0);
    expect(out).toMatch(
      /app +clean[^]*billing +clean[^]*v2\.0\.0 ↓ v1\.0\.0 · 3 steps in 2 legs[^]*table public\.notes +1 /,
    );
    expect(await readFile(path.join(folder, 'losses.html'), 'utf8')).toContain('public.notes');
  });

  test('down, with consent to that very plan', async () => {
    const [start = '', watch = '', approve = '', again = '', history = ''] = lines(GUIDE[8] ?? '');
    expect(await typed(start)).toMatchObject({ code: 0, out: expect.stringContaining('started') });
    const waiting = await typed(watch);
    const [, plan = ''] = /pg-unwind approve acme-eu --plan ([0-9a-f]{64})/.exec(waiting.out) ?? [];
    expect({ code: waiting.code, plan }).toEqual({ code: 3, plan: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect((await typed(approve.replace('<the plan id>', plan))).code).toBe(0);
    const end = await typed(again);
    expect(end.code).toBe(0);
    expect(lines(end.out).at(-1)).toBe('acme-eu stands at v1.0.0: 3 of 3 steps done, verified.');
    expect(readFileSync(path.join(repository, 'README.md'), 'utf8')).toContain(`\`${lines(end.out).at(-1)}\``);
    expect((await typed(history)).out).toMatch(/v2\.0\.0 ↓ v1\.0\.0 +completed +3\/3/);
  });
});

describe('docs/own-product.md: files and databases of another tool', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database?.drop());

  test('its pairs of files become releases, and its databases get the ledger from which a plan is made', async () => {
    const [convert = '', build = ''] = ANOTHER_TOOL;
    const [ledger = ''] = blocksOf('docs/own-product.md', 'Databases that another tool has migrated', 'sql');
    await pairs('000001_users', 'create table users (id integer);', 'drop table users;');
    expect(await typed(convert.replace('v1.1.0', 'v1.0.0'))).toMatchObject({ code: 0, err: '' });
    await pairs('000002_notes', 'create table notes (body text);', 'drop table notes;');
    expect(await typed(convert)).toMatchObject({ code: 0, err: '' });
    expect(await typed(build)).toMatchObject({
      code: 0,
      out: expect.stringContaining('2 releases, 2 migrations in app'),
    });

    await database.query('create table users (id integer)');
    await database.query('create table notes (body text)');
    await database.query('create table schema_migrations (version bigint primary key, dirty boolean not null)');
    await database.query('insert into schema_migrations values (2, false)');
    await writeFile(path.join(folder, 'pg-unwind.yaml'), CONFIG);
    await writeFile(path.join(folder, 'app.url'), database.url);
    const plan = () => typed('pg-unwind plan acme-eu --to v1.0.0');
    expect(await plan()).toMatchObject({ code: 3, err: expect.stringContaining('it has no ledger') });
    for (const statement of ledger.split(/;\n\n/)) await database.query(statement);
    expect(await plan()).toMatchObject({ code: 0, out: expect.stringContaining('v1.1.0 ↓ v1.0.0 · 1 step in 1 leg') });
  });

  async function pairs(name: string, up: string, down: string): Promise<void> {
    await mkdir(path.join(folder, 'migrations'), { recursive: true });
    await writeFile(path.join(folder, 'migrations', `${name}.up.sql`), up);
    await writeFile(path.join(folder, 'migrations', `${name}.down.sql`), down);
  }
});

const CONFIG = `
products:
  product:
    catalog: catalogs/product
    ledger: { kind: sourcegraph }
    databases:
      app: { ledgerKey: app }
instances:
  acme-eu: { product: product, databases: { app: { url: { file: app.url } } } }
`;

/** What the guide needs of psql, on a machine that has none. */
async function psqlWhereMissing(): Promise<void> {
  const there = await promisify(execFile)('psql', ['--version']).catch(() => null);
  if (there) return;
  const file = path.join(folder, 'bin', 'psql');
  await mkdir(path.dirname(file));
  await writeFile(
    file,
    `#!/usr/bin/env node
const pg = require(${JSON.stringify(path.join(repository, 'node_modules', 'pg'))});
const [url, , sql] = process.argv.slice(2);
const client = new pg.Client(url);
client.connect().then(() => client.query(sql)).then(() => client.end());
`,
  );
  await chmod(file, 0o755);
}
