import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { parseConfig } from '../../src/config/load.js';
import { createInstances } from '../../src/instance/instances.js';
import { ensureJournal } from '../../src/journal/install.js';
import { sourcegraphLedger } from '../../src/journal/ledgers/sourcegraph.js';
import { createDatabase, withClient, type TestDatabase } from '../support/postgres.js';
import { LEDGER } from '../support/stage.js';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase();
});
afterEach(() => database.drop());

const install = () =>
  withClient(database.url, (client) => ensureJournal(client, database.name, sourcegraphLedger.functionsSql(LEDGER)));

describe('the journal', () => {
  test('is installed once, and a second time changes nothing', async () => {
    await install();
    const functions = () =>
      database.query('select oid from pg_proc where pronamespace = $1::regnamespace order by oid', ['pgunwind']);
    const before = await functions();
    await install();
    expect(await functions()).toEqual(before);
    expect(before.length).toBeGreaterThan(10);
  });

  test('an older release of it is brought up to date, even where a function had another result type', async () => {
    await install();
    await database.query(`update pgunwind.meta set value = 'older' where key = 'sources'`);
    await database.query('drop function pgunwind.catalogs()');
    await database.query(
      `create function pgunwind.catalogs() returns text language sql as $$ select 'of an older release' $$`,
    );
    await database.query('create function pgunwind.gone_since() returns integer language sql as $$ select 1 $$');
    await database.query(
      `insert into pgunwind.decision (run, at, kind, details) values (gen_random_uuid(), now(), 'abort', '{}')`,
    );
    await install();
    expect(
      await database.query(
        `select prorettype::regtype::text as type from pg_proc where oid = 'pgunwind.catalogs'::regproc`,
      ),
    ).toEqual([{ type: 'oid[]' }]);
    expect(await database.query(`select to_regproc('pgunwind.gone_since')::text as name`)).toEqual([{ name: null }]);
    expect(await database.query('select kind from pgunwind.decision'), 'what it holds stays').toEqual([
      { kind: 'abort' },
    ]);
  });

  test('one that a newer release wrote is left alone', async () => {
    await install();
    await database.query(`update pgunwind.meta set value = case key when 'version' then '999' else 'newer' end`);
    await expect(install()).rejects.toMatchObject({ type: FailureType.JournalNewer, details: { version: 999 } });
  });

  test('two workers that install it at once do not get into each other’s way', async () => {
    const answers = await Promise.allSettled([install(), install(), install()]);
    for (const answer of answers) {
      if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ type: FailureType.InstanceBusy });
    }
    expect(answers.some((answer) => answer.status === 'fulfilled')).toBe(true);
    await install();
  });

  test('a role that may not create schemas is told which privilege it lacks', async () => {
    await database.asSuperuser(`alter database ${database.name} owner to postgres`);
    await expect(install()).rejects.toMatchObject({
      type: FailureType.InsufficientPrivileges,
      message: expect.stringContaining('grant create on database'),
    });
  });

  test('a worker of another release that takes a run over brings it up to date before it acts, and once', async () => {
    await install();
    await database.query(`update pgunwind.meta set value = 'of another release' where key = 'sources'`);
    await database.query('drop function pgunwind.claim');
    const config = parseConfig(
      `products: { shop: { catalog: ./none, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } } }
instances: { acme: { product: shop, databases: { frontend: { url: { env: FRONTEND } } } } }`,
      'pg-unwind.yaml',
    );
    const instances = createInstances({ config, env: { FRONTEND: database.url } });
    try {
      const opened = instances.open('acme').database('frontend');
      await Promise.all([opened.prepare(), opened.prepare()]);
      const claim = `select to_regproc('pgunwind.claim')::text as name`;
      expect(await database.query(claim)).toEqual([{ name: 'pgunwind.claim' }]);
      await database.query('drop function pgunwind.claim');
      await opened.prepare();
      expect(await database.query(claim), 'asked once in a process').toEqual([{ name: null }]);
    } finally {
      await instances.close();
    }
  });
});
