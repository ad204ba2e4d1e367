import { describe, expect, test } from 'vitest';
import type { TestRun } from '../support/engine.js';
import { queryAt, serverUrl, type TestDatabase } from '../support/postgres.js';
import { until } from '../support/until.js';
import { asStandby, conninfo, copyOf, databaseOn, ownServer, putBack, startIn } from './odd-server.js';
import { oddShops, parkedAnew, reasonsOf, seqOf, type OddShop } from './odd-shop.js';

// The connection leads elsewhere in the middle of a run, or to the same place at an earlier time.

const shops = oddShops();

const identifierOf = async (database: TestDatabase) =>
  (await database.asSuperuser<{ id: string }>('select system_identifier::text as id from pg_control_system()'))[0]?.id;

/** From one held script to the next. */
async function goOnTo(it: OddShop, run: TestRun, migration: number): Promise<void> {
  await it.database.query('update hold set migration = $1', [migration]);
  await run.update('retryStep');
  await until(async () => (await run.status()).parked[0]?.seq === seqOf(migration), {
    describe: `the run to park before ${migration}`,
    within: 30_000,
  });
}

test('a standby is named; pointed at the primary again the run goes on', async () => {
  const { server, folder, database } = await ownServer();
  await shops.fill(database);
  const it = await shops.open({ database });
  const run = await it.parkedBefore(4);
  await server.halt();
  const copy = await copyOf(folder);
  await server.start();
  asStandby(copy);
  const standby = await startIn(copy, { settings: { primary_conninfo: conninfo(server) } });
  it.env['FRONTEND_URL'] = databaseOn(standby).url;
  await it.engine.restart();
  await run.update('retryStep');
  const parked = await parkedAnew(run);
  expect(parked).toMatchObject({ failure: 'DirtyDatabase', during: 'claim' });
  expect(reasonsOf(parked)).toEqual([
    'standby: the server is in recovery: a standby, which can be read but not changed',
  ]);
  expect(parked.reasons[0]?.remedy).toContain('Point the connection reference at the primary');
  it.env['FRONTEND_URL'] = database.url;
  await it.engine.restart();
  await it.repair();
  await run.update('retryStep');
  await it.expectEnd(run);
});

test('another cluster at the same address is named with both identifiers, and nothing is made there', async () => {
  const { server, database } = await ownServer();
  await shops.fill(database);
  const it = await shops.open({ database });
  const run = await it.parkedBefore(4);
  await it.repair();
  const before = await identifierOf(database);
  await server.halt();
  const other = await ownServer({ port: server.port });
  await shops.fill(other.database);
  const now = await identifierOf(other.database);
  await run.update('retryStep');
  const parked = await parkedAnew(run);
  expect(parked).toMatchObject({ failure: 'DirtyDatabase', during: 'claim' });
  expect(reasonsOf(parked)).toEqual([
    `wrongServer: this is another cluster (system identifier ${now}) than the one the run began on (${before})`,
  ]);
  expect(parked.reasons[0]?.remedy).toMatch(/lead to the server and database of before.*"retryStep"/);
  expect(await other.database.query(`select to_regnamespace('pgunwind') as found`)).toEqual([{ found: null }]);
  await other.server.halt();
  await server.start();
  await run.update('retryStep');
  await it.expectEnd(run);
});

test('a restored copy in place of the database is named; a new run plans from the copy', async () => {
  const it = await shops.open();
  const { name } = it.database;
  const alone = () =>
    it.database.asSuperuser(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`,
    );
  const oid = async () =>
    (await it.database.query<{ oid: number }>(`select oid from pg_database where datname = '${name}'`))[0]?.oid;
  const run = await it.parkedBefore(5);
  await it.engine.restart();
  await alone();
  await queryAt(serverUrl(), `create database ${name}_copy template ${name} owner ${it.database.role}`);
  await goOnTo(it, run, 4);
  const before = await oid();
  await it.engine.restart();
  await alone();
  await queryAt(serverUrl(), `alter database ${name} rename to ${name}_later`);
  await queryAt(serverUrl(), `alter database ${name}_copy rename to ${name}`);
  await it.repair();
  await run.update('retryStep');
  const parked = await parkedAnew(run);
  expect(parked).toMatchObject({ failure: 'DirtyDatabase' });
  expect(reasonsOf(parked)).toEqual([
    `wrongServer: this is another database of the cluster (oid ${await oid()}) than the one the run began on (oid ${before}): a restored copy?`,
  ]);
  expect(parked.reasons[0]?.remedy).toContain('abort this run and start again');
  expect(await it.witnessed()).toEqual(['6 down']);
  await it.expectEnd(await it.again(run));
  await queryAt(serverUrl(), `drop database ${name}_later with (force)`);
});

describe('a whole cluster restored to an earlier time', () => {
  test('inside the open leg: the run goes back to where the journal stands, and runs the lost steps again', async () => {
    const { server, folder, database } = await ownServer();
    await shops.fill(database);
    const it = await shops.open({ database });
    const run = await it.parkedBefore(5);
    await server.halt();
    const copy = await copyOf(folder);
    await server.start();
    await goOnTo(it, run, 4);
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await server.halt();
    await putBack(copy, folder);
    await server.start();
    expect(await it.witnessed()).toEqual(['6 down']);
    await it.repair();
    await run.update('retryStep');
    await it.expectEnd(run);
    expect((await run.status()).warnings).toContainEqual(expect.stringContaining('the journal lacked steps of leg 1'));
  });

  test('behind a closed boundary: the run parks, and a new one plans from what is there', async () => {
    const { server, folder, database } = await ownServer();
    await shops.fill(database);
    const it = await shops.open({ database });
    const run = await it.parkedBefore(5);
    await server.halt();
    const copy = await copyOf(folder);
    await server.start();
    await goOnTo(it, run, 2);
    await server.halt();
    await putBack(copy, folder);
    await server.start();
    await it.repair();
    await run.update('retryStep');
    const parked = await parkedAnew(run);
    expect(parked).toMatchObject({ failure: 'JournalBehind', seq: seqOf(3) });
    expect(parked.message).toMatch(
      /lacks steps of an earlier release.*Nothing was changed\. Send the update "abort" and start again/,
    );
    expect(await it.witnessed()).toEqual(['6 down']);
    await it.expectEnd(await it.again(run));
  });
});
