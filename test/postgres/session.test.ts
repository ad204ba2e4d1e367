import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { createSessionPool } from '../../src/postgres/session-pool.js';
import { DEFAULT_SETTINGS, IDLE_NAME, openSession, type Session } from '../../src/postgres/session.js';
import { createDatabase, expectNoLeaks, serverMajor, withClient, type TestDatabase } from '../support/postgres.js';
import { openClient } from '../support/gate.js';
import { stage } from '../support/stage.js';
import { until } from '../support/until.js';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  await expectNoLeaks(database);
  await database.drop();
});

async function show(session: Session, name: string): Promise<string> {
  const { rows } = await session.client.query<{ value: string }>('select current_setting($1) as value', [name]);
  return rows[0]?.value as string;
}

describe('a session', () => {
  test("its limits beat those of role and database, and survive a script's own and the reset", async () => {
    const hostile = { statement_timeout: '1s', lock_timeout: '77s', idle_in_transaction_session_timeout: '1s' };
    for (const [name, value] of Object.entries(hostile)) {
      await database.asSuperuser(`alter role ${database.role} set ${name} = '${value}'`);
      await database.asSuperuser(`alter database ${database.name} set ${name} = '${value}'`);
    }
    await database.asSuperuser(`alter role ${database.role} set default_transaction_isolation = 'serializable'`);
    await database.asSuperuser(`alter role ${database.role} set default_transaction_read_only = on`);
    const session = await openSession(database.url);
    const wanted: Record<string, string> = {
      statement_timeout: '0',
      lock_timeout: '1500ms',
      idle_in_transaction_session_timeout: '1min',
      client_connection_check_interval: '2s',
      default_transaction_isolation: 'read committed',
      default_transaction_read_only: 'off',
      application_name: IDLE_NAME,
      ...(serverMajor() >= 17 ? { transaction_timeout: '0' } : {}),
    };
    const expectLimits = async () => {
      for (const [name, value] of Object.entries(wanted))
        expect([name, await show(session, name)]).toEqual([name, value]);
    };
    await expectLimits();
    for (const name of Object.keys(wanted)) {
      await session.client.query(
        `set ${name} = ${name.startsWith('default_transaction_i') ? 'serializable' : name === 'default_transaction_read_only' ? 'on' : "'9'"}`,
      );
    }
    await session.reset();
    await expectLimits();
    await session.client.query('discard all');
    await expectLimits();
    await session.close();
  });

  test.runIf(serverMajor() >= 17)('no transaction_timeout of a role ends a long step', async () => {
    await database.asSuperuser(`alter role ${database.role} set transaction_timeout = '1s'`);
    const session = await openSession(database.url);
    expect(await show(session, 'transaction_timeout')).toBe('0');
    await session.close();
  });

  test('options and a name in the connection string do not take the place of ours', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c search_path=pg_catalog -c statement_timeout=5');
    url.searchParams.set('application_name', 'frontend');
    const session = await openSession(url.href);
    expect(await show(session, 'search_path')).toBe('pg_catalog');
    expect(await show(session, 'statement_timeout')).toBe('0');
    expect(await show(session, 'application_name')).toBe(IDLE_NAME);
    await session.close();
  });

  test('an unreachable server is a retryable error that names it and no secret', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
    );
    await new Promise((resolve) => server.close(resolve));
    const url = `postgres://someone:s3cret@127.0.0.1:${port}/there`;
    const error = await openSession(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type: FailureType.DatabaseUnreachable, retryable: true });
    expect(String(error)).toContain(
      `database "there" at 127.0.0.1:${port} as someone cannot be reached (ECONNREFUSED)`,
    );
    expect(JSON.stringify(error) + String(error) + String((error as Error).cause)).not.toContain('s3cret');
  });

  test.each([['a server that never answers', (port: number) => `postgres://someone:s3cret@127.0.0.1:${port}/there`]])(
    '%s is given up in time',
    async (_, urlOf) => {
      const server = createServer();
      const port = await new Promise<number>((resolve) =>
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
      );
      const error = await openSession(urlOf(port), { ...DEFAULT_SETTINGS, connectTimeoutMs: 200 }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ type: FailureType.DatabaseUnreachable, retryable: true });
      expect(String(error)).not.toContain('s3cret');
      server.close();
    },
  );

  test('a database that is not there, and a wrong password, say what is wrong and what to correct', async () => {
    const missing = new URL(database.url);
    missing.pathname = '/no_such_database';
    const absent = await openSession(missing.href).catch((thrown: unknown) => thrown);
    expect(absent).toMatchObject({ type: FailureType.DatabaseUnreachable, details: { sqlstate: '3D000' } });
    const wrong = new URL(database.url);
    wrong.password = 's3cret';
    const refused = await openSession(wrong.href).then(
      async (session) => {
        await session.close();
        return null; // the server trusts this host: nothing to see
      },
      (thrown: unknown) => thrown,
    );
    if (refused === null) return;
    expect(refused).toMatchObject({ type: FailureType.InsufficientPrivileges, details: { sqlstate: '28P01' } });
    expect((refused as Error).message).not.toContain('s3cret');
  });

  test('one that is cut off says so', async () => {
    const session = await openSession(database.url);
    await database.asSuperuser('select pg_terminate_backend($1)', [session.pid]);
    await until(() => session.isLost(), { describe: 'the session to notice' });
    await expect(session.client.query('select 1')).rejects.toThrow();
    session.destroy();
  });

  test('in a transaction it refuses to be reset', async () => {
    const session = await openSession(database.url);
    await session.client.query('begin');
    await expect(session.reset()).rejects.toThrow('in a transaction');
    await session.client.query('select 1/0').catch(() => undefined);
    await expect(session.reset()).rejects.toThrow('in a transaction');
    await session.client.query('rollback');
    await session.reset();
    await session.close();
  });
});

describe('a pool of sessions', () => {
  const poolOf = (warm: number) =>
    createSessionPool({ url: () => Promise.resolve(database.url), settings: DEFAULT_SETTINGS, warm });

  test('lends the same session again with nothing left of the last user', async () => {
    const pool = poolOf(1);
    await database.query('create sequence numbers; create table things (a integer)');
    const first = await pool.withSession(async ({ client, pid }) => {
      await client.query(`set search_path = nowhere; set statement_timeout = '9s'; set application_name = 'x';
        create temp table mine (a integer); prepare p as select 1; listen l; declare c cursor with hold for select 1;
        select pg_advisory_lock(5); select nextval('public.numbers'); set role ${database.role}`);
      return pid;
    });
    await pool.withSession(async ({ client, pid }) => {
      expect(pid).toBe(first);
      const { rows } = await client.query(
        `select current_setting('search_path') as path, current_setting('statement_timeout') as timeout,
                current_setting('application_name') as name, current_setting('role') as role, to_regclass('pg_temp.mine') as temp,
                (select count(*)::integer from pg_prepared_statements) as prepared,
                (select count(*)::integer from pg_cursors where is_holdable) as cursors,
                (select count(*)::integer from pg_listening_channels()) as listens,
                (select count(*)::integer from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`,
      );
      expect(rows).toEqual([
        {
          path: '"$user", public',
          timeout: '0',
          name: IDLE_NAME,
          role: 'none',
          temp: null,
          prepared: 0,
          cursors: 0,
          listens: 0,
          locks: 0,
        },
      ]);
      await expect(client.query('select lastval()')).rejects.toMatchObject({ code: '55000' });
    });
    await pool.close();
  });

  test('ends the session of work that throws, and its transaction with it', async () => {
    const pool = poolOf(1);
    await database.query('create table things (a integer)');
    let pid = 0;
    await expect(
      pool.withSession(async (session) => {
        pid = session.pid;
        await session.client.query('begin; insert into things values (1); select pg_advisory_lock(5)');
        throw new Error('the work failed');
      }),
    ).rejects.toThrow('the work failed');
    await until(
      async () => (await database.asSuperuser('select from pg_stat_activity where pid = $1', [pid])).length === 0,
      {
        describe: 'the session to be gone',
      },
    );
    expect(await database.query('select from things')).toEqual([]);
    expect(await pool.withSession((session) => Promise.resolve(session.pid))).not.toBe(pid);
    await pool.close();
  });

  test('hands on the error of a server only when its locks are free again, and keeps the other warm sessions', async () => {
    const pool = poolOf(2);
    const pids = () => pool.withSession(({ pid }) => pool.withSession((second) => Promise.resolve([pid, second.pid])));
    const warm = await pids();
    // Sixteen hundred relations to forget: the rollback takes a moment, and the error is on the wire before it begins.
    const work = `do $$ begin perform pg_advisory_xact_lock(5);
      for i in 1..400 loop execute format('create table t%s (a integer primary key, b text)', i); end loop;
      raise 'no'; end $$`;
    const other = await openClient(database);
    let failed: number | null = null; // either of them: the one that is reset first
    const failing = pool.withSession(({ client, pid }) => {
      failed = pid;
      return client.query(work);
    });
    await expect(failing).rejects.toThrow('no');
    const { rows } = await other.query('select pg_try_advisory_lock(5) as free');
    await other.end();
    expect(rows).toEqual([{ free: true }]);
    const beside = warm.filter((pid) => pid !== failed);
    expect(beside).toHaveLength(1);
    expect(await pids()).toEqual(expect.arrayContaining(beside));
    await pool.close();
  });

  test('never lends a session that was given back inside a transaction', async () => {
    const pool = poolOf(1);
    const first = await pool.withSession(async ({ client, pid }) => {
      await client.query('begin');
      return pid;
    });
    expect(await pool.withSession((session) => Promise.resolve(session.pid))).not.toBe(first);
    await pool.close();
  });

  test('replaces a warm session that the server ended', async () => {
    const pool = poolOf(1);
    const first = await pool.withSession((session) => Promise.resolve(session.pid));
    await database.asSuperuser('select pg_terminate_backend($1)', [first]);
    await until(
      async () => (await database.asSuperuser('select from pg_stat_activity where pid = $1', [first])).length === 0,
      {
        describe: 'the session to be gone',
      },
    );
    const second = await until(() => pool.withSession((session) => Promise.resolve(session.pid)), {
      describe: 'another session',
    });
    expect(second).not.toBe(first);
    await pool.close();
  });

  test('leaves no session when it is closed', async () => {
    const pool = poolOf(2);
    await Promise.all([1, 2, 3].map(() => pool.withSession(({ client }) => client.query('select 1'))));
    await pool.close();
    await until(
      async () =>
        (
          await database.asSuperuser(`select from pg_stat_activity where datname = $1 and application_name = $2`, [
            database.name,
            IDLE_NAME,
          ])
        ).length === 0,
      { describe: 'no session of the pool' },
    );
  });
});

const pgbouncer = findPgbouncer();

describe.skipIf(pgbouncer === null)('behind pgbouncer (skipped where there is none on the PATH)', () => {
  let folder: string;
  let port: number;
  let bouncer: ChildProcess;

  async function start(mode: 'session' | 'transaction'): Promise<string> {
    folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-bouncer-'));
    chmodSync(folder, 0o755);
    const server = createServer();
    port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
    );
    await new Promise((resolve) => server.close(resolve));
    const real = new URL(database.url);
    writeFileSync(path.join(folder, 'users.txt'), `"${database.role}" "${decodeURIComponent(real.password)}"\n`);
    writeFileSync(
      path.join(folder, 'bouncer.ini'),
      `[databases]
${database.name} = host=${real.hostname} port=${real.port} dbname=${database.name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${path.join(folder, 'users.txt')}
pool_mode = ${mode}
default_pool_size = 5
server_reset_query = discard all
`,
    );
    const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    bouncer = spawn(pgbouncer as string, ['-q', ...asNobody, path.join(folder, 'bouncer.ini')], { stdio: 'ignore' });
    const url = new URL(database.url);
    url.hostname = '127.0.0.1';
    url.port = String(port);
    await until(() => withClient(url.href, (client) => client.query('select 1')), { describe: 'pgbouncer to answer' });
    return url.href;
  }

  afterEach(async () => {
    const gone = new Promise((resolve) => bouncer.once('exit', resolve));
    bouncer.kill('SIGKILL');
    await gone;
    rmSync(folder, { recursive: true, force: true });
    await until(
      async () =>
        (
          await database.asSuperuser('select from pg_stat_activity where datname = $1 and usename = $2', [
            database.name,
            database.role,
          ])
        ).length === 0,
      { describe: "the pooler's server sessions to end" },
    );
  });

  test('transaction mode is refused before anything is done', async () => {
    const url = await start('transaction');
    const error = await openSession(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type: FailureType.TransactionPooler, retryable: false });
    expect(String(error)).toContain(database.name);
  });

  test('session mode works, with the limits set after connecting, and again after a reset', async () => {
    const url = await start('session');
    const session = await openSession(url);
    expect(session.pooled).toBe(true);
    expect(await show(session, 'lock_timeout')).toBe('1500ms');
    await session.client.query("set lock_timeout = '9s'; create temp table mine (a integer)");
    await session.reset();
    expect(await show(session, 'lock_timeout')).toBe('1500ms');
    expect(await show(session, 'idle_in_transaction_session_timeout')).toBe('1min');
    await session.close();
  });

  test('through session mode a step waits for a lock, has who holds it ended, and is cancelled on the server', async () => {
    const url = await start('session');
    const staged = await stage(
      [
        { migration: '10002', text: 'alter table jobs add column note text' },
        { migration: '10001', text: 'select pg_sleep(60)' },
      ],
      { setup: 'create table jobs (id integer)', database, via: () => url, blockers: 'terminateIdle' },
    );
    const blocker = await openClient(database);
    await blocker.query('begin; select from jobs');
    expect((await staged.apply(1)).outcome.endedSessions).toMatchObject([{ application: 'a session of the test' }]);
    await blocker.end().catch(() => undefined);

    const cancellation = new AbortController();
    const sleeping = () =>
      database.asSuperuser(`select from pg_stat_activity where wait_event = 'PgSleep' and datname = $1`, [
        database.name,
      ]);
    const cancelled = staged.apply(2, { signal: cancellation.signal }).catch((error: unknown) => error);
    await until(async () => (await sleeping()).length > 0, { describe: 'the script to sleep' });
    cancellation.abort();
    expect(await cancelled).toMatchObject({ details: { sqlstate: '57014' } });
    expect(await sleeping()).toEqual([]);
    await staged.instance.sessions.close();
  });
});

function findPgbouncer(): string | null {
  for (const candidate of ['pgbouncer', '/usr/sbin/pgbouncer']) {
    try {
      execFileSync(candidate, ['--version'], { stdio: 'ignore' });
      return candidate;
    } catch {
      // not here
    }
  }
  return null;
}
