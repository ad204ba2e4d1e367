import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { setUpShop, type Shop } from '../../src/cli/example/shop.js';
import type { StatusReport, UnwindReport } from '../../src/contract/messages.js';
import type { DataList } from '../../src/instance/data-list.js';
import { until } from '../support/until.js';
import { npmRun, pgUnwind, stop, type Ended, type Running } from './command-line.js';

const instance = `e2e-${randomBytes(4).toString('hex')}`;
const orders = `${instance.replaceAll('-', '_')}_orders`;

let folder: string;
let shop: Shop;
let worker: Running;

const run = (...words: string[]): Promise<Ended> => pgUnwind(words, { PG_UNWIND_CONFIG: shop.configFile }).ended;
const runJson = async <T>(...words: string[]): Promise<T> => JSON.parse((await run(...words, '--json')).out) as T;
const lastLine = ({ out }: Ended) => out.trimEnd().split('\n').at(-1);
const theOne = async () => {
  const { release, dataMigrations } = await runJson<DataList>('data', 'list', instance);
  return { release, ...dataMigrations.find(({ id }) => id === '1') };
};

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-e2e-'));
  const { url: superuserUrl, password } = inject('postgres');
  shop = await setUpShop({
    folder,
    instance,
    postgres: { superuserUrl, password, url: urlOnServer },
    temporal: { ...inject('temporal'), taskQueue: instance },
  });
  worker = npmRun(['pg-unwind', '--', 'worker'], { PG_UNWIND_CONFIG: shop.configFile });
  await until(() => worker.printed().includes('worker ready'), {
    within: 90_000,
    describe: 'the worker',
    show: () => worker.printed(),
  });
  const { id } = await runJson<{ id: string }>('plan', instance, '--to', 'v2.2.0', '--up');
  const up = await run('upgrade', instance, '--to', 'v2.2.0', '--accept-data-loss', id, '--wait');
  expect(up, up.err).toMatchObject({ code: 0 });
  await onOrders(
    `insert into customers (email, name, phone) select n || '@example.org', 'c ' || n, '+351 21 ' || lpad(n::text, 6, '0') from generate_series(1, 3000) n`,
  );
});

afterAll(async () => {
  if (worker) await stop(worker);
  const client = new pg.Client(inject('postgres').url);
  await client.connect();
  for (const database of shop?.databases ?? []) {
    await client.query(`drop database if exists ${instance.replaceAll('-', '_')}_${database} with (force)`);
  }
  await client.end();
  await rm(folder, { recursive: true, force: true });
});

function urlOnServer(database: string, role = 'postgres'): string {
  const url = new URL(inject('postgres').url);
  url.pathname = `/${database}`;
  url.username = role;
  return url.href;
}

/** As the role that owns the database. */
async function onOrders(text: string): Promise<unknown[]> {
  const client = new pg.Client(urlOnServer(orders, 'shop'));
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

test('"data list" says where each is, whether it runs here, and how it goes on', async () => {
  expect(await theOne()).toMatchObject({
    release: 'v2.2.0',
    database: 'orders',
    introduced: 'v2.1.0',
    deprecated: 'v3.0.0',
    reversal: 'reversible',
    handler: 'sql',
    progress: 0,
    progressFrom: 'data',
    fits: true,
    expected: null,
  });
  const { code, out } = await run('data', 'list', instance);
  expect(code).toBe(0);
  expect(out).toContain(`${instance} stands at v2.2.0.`);
  expect(out).toMatch(
    /^ 1 +orders +Writes phone numbers .* introduced v2\.1\.0, deprecated v3\.0\.0 +reverse +yes +0 %$/m,
  );
  expect(out).toContain(`pg-unwind data run ${instance} 1 --forward`);
});

test('"data run" moves one to its end and says what was done; a second time there is nothing to do', async () => {
  const first = await run('data', 'run', instance, '1', '--forward', '--wait');
  expect({ code: first.code, last: lastLine(first) }).toEqual({
    code: 0,
    last: `${instance} orders data migration 1 went forward: 3,000 rows moved, all are in the newer form, verified.`,
  });
  expect(await theOne()).toMatchObject({ progress: 1 });
  const again = await run('data', 'run', instance, '1', '--forward', '--wait');
  expect({ code: again.code, last: lastLine(again) }).toEqual({
    code: 0,
    last: `${instance} orders data migration 1: all rows are in the newer form already, nothing to do, verified.`,
  });
  const status = await run('status', instance, '--data', '1');
  expect(status.out).toContain('nothing to do');
});

test('what cannot be meant is refused before anything is started', async () => {
  const refused = async (...words: string[]) => {
    const { code, err } = await run('data', 'run', instance, ...words);
    expect(code).toBe(2);
    return err;
  };
  expect(await refused('1')).toContain('one of --forward and --reverse');
  expect(await refused('1', '--forward', '--reverse')).toContain('not both');
  expect(await refused('12', '--forward')).toMatch(/no data migration "12"\. Nearest: 1/);
  expect((await run('status', instance, '--data', '2')).err).toContain(
    `knows no open run of ${instance} data migration 2 (unwind/${instance}/data/2)`,
  );
});

test('while the instance is on its way nothing is started, and the run of the way is named', async () => {
  const { out } = await run('downgrade', instance, '--to', 'v2.0.0');
  expect(out).toContain('started');
  const { code, err } = await run('data', 'run', instance, '1', '--reverse');
  expect(code).toBe(2);
  expect(err).toContain(`is being taken to another release (unwind/${instance})`);
  expect((await run('abort', instance)).code).toBe(0);
  await until(async () => 'outcome' in (await runJson<StatusReport | UnwindReport>('status', instance)), {
    within: 30_000,
    describe: 'the end of the way',
  });
});

test('a worker that is killed in a batch: the next goes on there, and each row is moved once', async () => {
  await onOrders(`
    create table witness (what bigint);
    create function gate() returns trigger language plpgsql as $$ begin
      insert into witness values (new.id);
      if new.id = 2500 then
        perform set_config('lock_timeout', '0', true);
        perform pg_advisory_xact_lock(77, 1);
      end if;
      return new;
    end $$;
    create trigger gate before update on customers for each row execute function gate()`);
  const gate = new pg.Client(urlOnServer(orders));
  gate.on('error', () => undefined); // a failing test ends with the database
  await gate.connect();
  await gate.query('select pg_advisory_lock(77, 1)');
  expect((await run('data', 'run', instance, '1', '--reverse')).code).toBe(0);
  const waits = `select count(*)::int as n from pg_locks l join pg_database d on d.oid = l.database
    where l.locktype = 'advisory' and l.classid = 77 and not l.granted and d.datname = $1`;
  await until(async () => (await gate.query<{ n: number }>(waits, [orders])).rows[0]?.n === 1, {
    within: 30_000,
    describe: 'a batch at the gate',
  });
  const { pid } = worker.process;
  process.kill(-pid!, 'SIGKILL'); // its whole group: npm and the worker
  await worker.ended;
  worker = npmRun(['pg-unwind', '--', 'worker'], { PG_UNWIND_CONFIG: shop.configFile });
  await until(() => worker.printed().includes('worker ready'), { within: 90_000, describe: 'the next worker' });
  await gate.end();
  const report = await until(
    async () => {
      const status = await runJson<StatusReport | UnwindReport>('status', instance, '--data', '1');
      return 'outcome' in status ? status : null;
    },
    { within: 60_000, describe: 'the end of the run' },
  );
  expect(report).toMatchObject({ outcome: 'completed', dataMigration: { rows: 3_000, progress: 0 } });
  expect(await onOrders('select count(*)::int as n, count(distinct what)::int as each from witness')).toEqual([
    { n: 3_000, each: 3_000 },
  ]);
  await onOrders('drop trigger gate on customers; drop function gate; drop table witness');
  expect((await run('data', 'run', instance, '1', '--forward', '--wait')).code).toBe(0);
});

test('a run that cannot go on is parked, and is seen, paused, resumed, retried and aborted with --data', async () => {
  await onOrders(`alter table customers add constraint kept check (phone not like '+351 %') not valid`);
  const parked = await run('data', 'run', instance, '1', '--reverse', '--wait');
  expect(parked.code).toBe(3);
  expect(parked.out).toContain('orders 1: DataFailed during data');
  expect(parked.out).toContain(`pg-unwind retry ${instance} --data 1`);
  const { id } = await runJson<{ id: string }>('plan', instance, '--to', 'v2.0.0');
  const way = await run('downgrade', instance, '--to', 'v2.0.0', '--accept-data-loss', id, '--wait');
  expect(way.code).toBe(3);
  expect(way.out).toContain(`ClaimedByAnother`);
  expect(way.out).toContain(`unwind/${instance}/data/1`);
  expect((await run('abort', instance)).code).toBe(0);
  await until(async () => 'outcome' in (await runJson<StatusReport | UnwindReport>('status', instance)), {
    within: 30_000,
    describe: 'the end of the way',
  });

  const status = await runJson<StatusReport>('status', instance, '--data', '1');
  expect(status).toMatchObject({ state: 'needsOperator', dataMigration: { id: '1', direction: 'reverse' } });
  expect((await run('pause', instance, '--data', '1', '--why', 'to look')).code).toBe(0);
  expect((await run('resume', instance, '--data', '1')).code).toBe(0);
  expect((await run('retry', instance, '--data', '1')).code).toBe(0);
  await until(async () => (await run('status', instance, '--data', '1')).code === 3, {
    within: 30_000,
    describe: 'it to park again',
  });
  expect((await run('abort', instance, '--data', '1', '--by', 'eve')).code).toBe(0);
  const ended = await until(
    async () => {
      const shown = await run('status', instance, '--data', '1');
      return shown.code === 4 && shown;
    },
    { within: 30_000, describe: 'the end of the run' },
  );
  expect(ended.out).toContain(`Start "pg-unwind data run ${instance} 1 --reverse" to go on there`);

  await onOrders('alter table customers drop constraint kept');
  const on = await run('data', 'run', instance, '1', '--reverse', '--wait', '--json');
  expect(JSON.parse(on.out)).toMatchObject({ outcome: 'completed', dataMigration: { id: '1', progress: 0 } });
  const check = await run('check', instance);
  expect(check.code).toBe(0);
});
