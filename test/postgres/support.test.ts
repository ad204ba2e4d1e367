import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  asRole,
  asTemplate,
  createDatabase,
  createRole,
  dropRole,
  dropTemplate,
  expectNoLeaks,
  type TestDatabase,
} from '../support/postgres.js';
import { until } from '../support/until.js';

describe('a database for a test', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => database.drop());

  test('is owned by a role that is no superuser', async () => {
    const rows = await database.query(
      `select current_user::text as me, r.rolsuper, r.rolcreatedb, pg_get_userbyid(d.datdba)::text as owner
         from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()`,
    );
    expect(rows).toEqual([{ me: database.role, rolsuper: false, rolcreatedb: false, owner: database.role }]);
  });

  test('can be entered as another role, which then goes', async () => {
    const reader = await createRole(database, 'reader');
    const me = await asRole(
      database,
      reader,
      async (client) => (await client.query('select current_user::text as me')).rows,
    );
    expect(me).toEqual([{ me: reader }]);
    await dropRole(database, reader);
  });

  test('is copied from a template with its tables and their owner', async () => {
    const template = await createDatabase();
    await template.query('create table kept as select 1 as one');
    const copy = await createDatabase({ template: await asTemplate(template), owner: template.role });
    expect(await copy.query('insert into kept values (2) returning one')).toEqual([{ one: 2 }]);
    await copy.drop();
    await dropTemplate(template);
  });

  test.each([
    ['an advisory lock', 'test', 'select pg_advisory_lock(1)'],
    ['an open transaction', 'test', 'begin; select 1'],
    ['a session of ours', 'pgu step', 'select 1'],
  ])('%s that is left is a leak, and none once it is gone', async (_, application_name, statement) => {
    const client = new pg.Client({ connectionString: database.url, application_name });
    await client.connect();
    await client.query(statement);
    await expect(expectNoLeaks(database)).rejects.toThrow('left on');
    await client.end();
    await expectNoLeaks(database);
  });
});

test('until says what it waited for and what it saw instead', async () => {
  const never = until(() => Promise.resolve(null), { within: 50, every: 10, describe: 'the moon' });
  await expect(never).rejects.toThrow(/Waited 50 ms \(\d+ looks\) for the moon; last seen: null/);
  const broken = until(() => Promise.reject(new Error('no such table')), { within: 50, every: 10, describe: 'rows' });
  await expect(broken).rejects.toThrow(/for rows; last seen: an error: .*no such table/);
});
