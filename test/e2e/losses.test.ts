import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { expectNotGrown } from '../../src/activities/count-losses.js';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { parseConfig } from '../../src/config/load.js';
import { createInstances, type OpenInstance } from '../../src/instance/instances.js';
import { openTestEngine, type TestEngine } from '../support/engine.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { inFolder, migration, write } from '../unit/catalog/sources.js';

// From v3.0.0, whose jobs are lost on the way to v1.0.0, in the second leg.

const ROOT = migration('0_root', [], { up: 'create table root (id int)', down: 'drop table root' });
const FIRST = migration('1_first', [0], { up: 'create table kept (id int)', down: 'drop table kept' });
const SECOND = migration('2_jobs', [1], {
  up: `create table jobs (id int primary key); insert into jobs select generate_series(1, 1000);`,
  down: 'drop table jobs',
});
const THIRD = migration('3_view', [2], { up: 'create view v as select 1 as one', down: 'drop view v' });
const RELEASES = {
  'v0.9.0': inFolder('frontend', ROOT),
  'v1.0.0': inFolder('frontend', ROOT, FIRST),
  'v2.0.0': inFolder('frontend', ROOT, FIRST, SECOND),
  'v3.0.0': inFolder('frontend', ROOT, FIRST, SECOND, THIRD),
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-losses-'));
  const source = path.join(folder, 'sources');
  for (const [label, files] of Object.entries(RELEASES)) write(path.join(source, label), files);
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
});
afterAll(() => rm(folder, { recursive: true }));

interface Shop {
  readonly name: string;
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  readonly instance: OpenInstance;
}

async function openShop(): Promise<Shop> {
  const name = `losses-${randomUUID().slice(0, 8)}`;
  const database = await createDatabase();
  const config = `
products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  ${name}: { product: shop, databases: { frontend: { url: { env: FRONTEND_URL } } } }
`;
  const env = { FRONTEND_URL: database.url };
  const engine = await openTestEngine({ config, folder, env });
  const instances = createInstances({ config: parseConfig(config, path.join(folder, 'pg-unwind.yaml')), env });
  onTestFinished(async () => {
    await instances.close();
    await engine.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  const up = await engine.start('upgrade', { instance: name, to: 'v3.0.0' });
  await up.unaided();
  return { name, database, engine, instance: instances.open(name) };
}

test('consent is asked for with figures; rows that came since make it be asked again', async () => {
  const { name, database, engine } = await openShop();
  const run = await engine.start('downgrade', { instance: name, to: 'v1.0.0' });
  const { losses, plan } = await run.inState('awaitingApproval');
  expect(losses).toMatchObject({ losses: 1, totals: { tables: 1, rows: { value: 1_000, exact: true } } });
  expect(losses?.largest[0]).toMatch(/^frontend table public\.jobs: 1,000 rows, \d.* \(2 jobs\)$/);

  await database.query('insert into jobs select generate_series(1001, 5000)');
  const refused = await run.update('approve', { plan }).then(
    () => null,
    (error: unknown) => error as Error,
  );
  expect(refused?.cause).toMatchObject({
    type: 'LossesGrown',
    message: expect.stringContaining('public.jobs held 1,000 rows, and holds 5,000 now') as string,
  });
  expect((await run.status()).losses?.totals.rows.value).toBe(5_000);
  await run.update('approve', { plan, by: 'ann' });
  expect(await run.report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
});

test('an attempt that died after it had counted anew lets no consent pass to figures that nobody has seen', async () => {
  const { name, database, engine, instance } = await openShop();
  const run = await engine.start('downgrade', { instance: name, to: 'v1.0.0' });
  const { losses, run: id } = await run.inState('awaitingApproval');
  const { plan } = await engine.plan({ instance: name, to: 'v1.0.0', direction: 'down' });
  await database.query('insert into jobs select generate_series(1001, 5000)');
  for (const attempt of ['that dies with its answer', 'after it']) {
    const consent = expectNotGrown(instance, plan, id, losses?.takenAt ?? '');
    await expect(consent, attempt).rejects.toMatchObject({ type: 'LossesGrown' });
  }
  await run.update('abort');
  expect((await run.report).outcome).toBe('aborted');
});

test('before the first leg that destroys, and not sooner, each database notes where a restore has to go', async () => {
  const { name, database, engine } = await openShop();
  const { plan } = await engine.plan({ instance: name, to: 'v1.0.0', direction: 'down' });
  const input = { instance: name, to: 'v1.0.0', acceptDataLoss: plan.id, via: ['v2.0.0'] };
  const run = await engine.start('downgrade', input);
  await run.inState('atStop');
  expect((await run.status()).restorePoints).toBeUndefined();
  const [before] = await database.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
  await database.query('insert into jobs values (7777)');
  await run.update('continue');
  const { restorePoints } = await run.unaided();
  expect(restorePoints?.['frontend']).toMatchObject({ timeline: 1, name: null }); // this role may not name one
  const [row] = await database.query<{ later: boolean; at: string; leg: number }>(
    `select lsn > $1::pg_lsn as later, lsn::text as at, leg from pgunwind.restore_point`,
    [before?.lsn],
  );
  expect(row).toEqual({ later: true, at: restorePoints?.['frontend']?.lsn, leg: 1 });
  const [step] = await database.query<{ after: boolean }>(
    `select s.started_at > p.at as after from pgunwind.step s join pgunwind.restore_point p using (run) where s.leg = 1`,
  );
  expect(step?.after).toBe(true);
});

test('a role that may name a restore point does so', async () => {
  const { name, database, engine } = await openShop();
  await database.asSuperuser(`grant execute on function pg_create_restore_point(text) to ${database.role}`);
  const { plan } = await engine.plan({ instance: name, to: 'v1.0.0', direction: 'down' });
  const run = await engine.start('downgrade', { instance: name, to: 'v1.0.0', acceptDataLoss: plan.id });
  const { restorePoints, run: id } = await run.unaided();
  expect(restorePoints?.['frontend']?.name).toBe(`pg-unwind ${id}`);
});

test('a run that is turned back stands where it began, under the same id, and names what does not come back', async () => {
  const { name, database, engine } = await openShop();
  const { plan } = await engine.plan({ instance: name, to: 'v0.9.0', direction: 'down' });
  const input = { instance: name, to: 'v0.9.0', acceptDataLoss: plan.id, via: ['v1.0.0'] };
  const run = await engine.start('downgrade', input);
  await run.inState('atStop');
  expect(await database.query(`select to_regclass('jobs') as jobs`)).toEqual([{ jobs: null }]);
  expect((await run.update('turnBack', { by: 'ann', why: 'v1.0.0 is worse' })).state).toBe('turningBack');
  const report = await run.unaided();
  expect(report).toMatchObject({ direction: 'up', outcome: 'completed', standsAt: 'v3.0.0' });
  expect(report.warnings).toContainEqual(
    expect.stringMatching(/^frontend 2 jobs: what it destroyed does not come back/),
  );
  expect(await database.query(`select kind, decided_by, why from pgunwind.decision where kind = 'turnBack'`)).toEqual([
    { kind: 'turnBack', decided_by: 'ann', why: 'v1.0.0 is worse' },
  ]);
  expect(await database.query(`select direction, state from pgunwind.run order by planned_at`)).toEqual([
    { direction: 'up', state: 'completed' },
    { direction: 'down', state: 'aborted' },
    { direction: 'up', state: 'completed' },
  ]);
});
