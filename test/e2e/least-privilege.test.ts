import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  createDatabase,
  createRole,
  dropRole,
  queryAt,
  serverMajor,
  withClient,
  type TestDatabase,
} from '../support/postgres.js';
import { repository } from '../support/shared.js';
import { oddShops } from './odd-shop.js';

// docs/runbook.md, "What the role needs" and "What stays": a role that has exactly these grants, in a database that is somebody else's.

const shops = oddShops();

const sqlIn = (file: string, heading: string) => {
  const [, chapter = ''] = readFileSync(path.join(repository, 'docs', file), 'utf8').split(`\n## ${heading}\n`);
  return /^```sql\n([^]*?)^```$/m.exec(chapter.split(/^## /m)[0] ?? '')?.[1] ?? '';
};
/** By their comments: what it must have, and what it may have. */
const GRANTS = sqlIn('runbook.md', 'What the role needs').trim().split('\n\n');
const MUST = GRANTS.filter((text) => text.startsWith('-- Must'));
const MAY = GRANTS.filter((text) => text.startsWith('-- May'));

/** The database as that role sees it; as everything else in the cluster it belongs to another one. */
async function withGrants(grants: readonly string[]): Promise<{ least: TestDatabase; another: string }> {
  const database = await createDatabase();
  const role = await createRole(database, 'shop');
  const another = await createRole(database, 'another');
  onTestFinished(async () => {
    await dropRole(database, role);
    await dropRole(database, another);
    await database.drop();
  });
  for (const text of grants) {
    await database.asSuperuser(text.replaceAll(/\bfrontend\b/g, database.name).replaceAll(/\bshop\b/g, role));
  }
  const url = database.urlAs(role);
  const least: TestDatabase = { ...database, role, url, query: (text, values) => queryAt(url, text, values) };
  await shops.fill(least);
  return { least, another };
}

/** To where an undisturbed run in a database of one's own ends. */
const OUR_GRANT = { differences: ['privileges schema public is different'] };

const schemas = ({ asSuperuser }: TestDatabase) =>
  asSuperuser<{ name: string }>(`select nspname as name from pg_namespace where nspname !~ '^pg_' order by 1`).then(
    (rows) => rows.map(({ name }) => name),
  );

test('with what it must have the instance goes up and down; the restore point has a place, and no name', async () => {
  expect(MUST.length).toBeGreaterThan(0);
  const { least } = await withGrants(MUST);
  const it = await shops.open({ database: least });
  const run = await it.start();
  await it.expectEnd(run, OUR_GRANT);
  const { restorePoints } = await run.report;
  expect(restorePoints?.['frontend']).toMatchObject({ name: null, lsn: expect.stringMatching(/^[0-9A-F]+\//) });
});

test('with what it may have it names the restore point and ends the session of another role that is in the way', async () => {
  expect(MAY.length).toBe(2);
  const { least, another } = await withGrants([...MUST, ...MAY]);
  await least.query(`grant select on part6 to ${another}`);
  const it = await shops.open({ database: least, options: '{ blockers: terminateIdle }' });
  await withClient(least.urlAs(another), async (forgotten) => {
    await forgotten.query('begin');
    await forgotten.query('select from part6');
    const run = await it.start();
    await it.expectEnd(run, OUR_GRANT);
    const { restorePoints, run: id } = await run.report;
    expect(restorePoints?.['frontend']?.name).toBe(`pg-unwind ${id}`);
  });
  expect(await least.query('select count(*)::integer as ended from pgunwind.ended_session')).toEqual([{ ended: 1 }]);
});

test('what stays is the schema pgunwind, and it goes as documented; the next run makes it anew', async () => {
  const { least } = await withGrants(MUST);
  const it = await shops.open({ database: least });
  expect(await schemas(least)).toEqual(['information_schema', 'public']);
  await it.expectEnd(await it.start(), OUR_GRANT);
  expect(await schemas(least)).toEqual(['information_schema', 'pgunwind', 'public']);

  const [open = '', remove = ''] = sqlIn('operations.md', 'Uninstalling the journal')
    .trim()
    .split(/ -- must be empty\n/);
  expect(await least.query(open)).toEqual([]);
  await least.query(remove);
  expect(await schemas(least)).toEqual(['information_schema', 'public']);
  expect(await least.asSuperuser('select evtname from pg_event_trigger')).toEqual([]);
  const upgrade = await it.engine.start('upgrade', { instance: it.name, to: 'v3.0.0' });
  expect(await upgrade.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v3.0.0' });
});

test.skipIf(serverMajor() < 15)(
  'without leave to make anything in "public" a run says so, and has changed nothing',
  async () => {
    await expect(withGrants(MUST.map((text) => text.replace(/^grant create on schema.*$/m, '')))).rejects.toThrow(
      /42501/,
    );
  },
);
