import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { openTestEngine } from '../support/engine.js';
import { closeGate } from '../support/gate.js';
import { forbidden, secretsIn } from '../support/kept.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { pythonEnvironment, type PythonEnvironment } from '../support/python.js';
import { repository } from '../support/shared.js';
import { until } from '../support/until.js';

// examples/shop/python as its README starts it: a real worker in another language, killed in the middle of a transaction.

const EXAMPLE = path.join(repository, 'examples', 'shop', 'python');
const CUSTOMERS = 1_000;
const KEY = randomBytes(16).toString('hex');

let environment: PythonEnvironment;
let folder: string;
beforeAll(async () => {
  environment = await pythonEnvironment(path.join(EXAMPLE, 'requirements.txt'));
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-python-'));
  const releases = path.join(folder, 'releases');
  const script = path.join(repository, 'examples', 'shop', 'build-releases.mjs');
  const data = path.join(EXAMPLE, 'data-migrations.yaml');
  await promisify(execFile)(process.execPath, [script, releases, '--data', data]);
  const built = await buildCatalog({ product: 'shop', format: 'sourcegraph', source: releases, path: 'migrations' });
  await writeCatalog(path.join(folder, 'catalog'), built);
}, 600_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

interface PythonWorker {
  readonly process: ChildProcess;
  /** SIGKILL; returns when it is gone. */
  kill(): Promise<void>;
}

async function startPython(python: string, taskQueue: string, urls: NodeJS.ProcessEnv): Promise<PythonWorker> {
  const { address, namespace } = inject('temporal');
  const env = {
    PATH: process.env['PATH'],
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
    SHOP_TASK_QUEUE: taskQueue,
    SHOP_KEY: KEY,
    PYTHONDONTWRITEBYTECODE: '1',
    ...urls,
  };
  const child = spawn(python, [path.join(EXAMPLE, 'worker.py')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await gone;
  };
  onTestFinished(kill);
  await until(() => said.includes(`serving sealEmails on ${taskQueue}`), {
    describe: 'the Python worker to serve',
    within: 60_000,
    show: () => said,
  });
  return { process: child, kill };
}

/** Each change of an address leaves a row; one of them waits at a gate, and so does the transaction around it. */
const WITNESS = (gate: number, at: number) => `
  create table if not exists witness (customer bigint not null, sealed boolean not null);
  create or replace function see() returns trigger language plpgsql as $$
  begin
    if new.id = ${at} then perform set_config('lock_timeout', '0', true); perform pg_advisory_xact_lock(77, ${gate}); end if;
    insert into public.witness values (new.id, starts_with(new.email, 'sealed:'));
    return new;
  end $$;
  create or replace trigger see before update of email on customers for each row execute function see();`;

const SEEN = `select sealed, count(*)::int as rows, count(distinct customer)::int as customers from witness group by sealed order by sealed`;
const ADDRESSES = `select count(*) filter (where email = 'ann' || id || '@example.org')::int as plain,
  count(*) filter (where starts_with(email, 'sealed:'))::int as sealed from customers`;

test('a worker in Python moves the data there and back, and one that is killed in a batch has touched each row once', async ({
  skip,
}) => {
  if ('missing' in environment) return skip(environment.missing);
  const { python } = environment;
  const name = `python-${randomUUID().slice(0, 8)}`;
  const names = ['frontend', 'orders', 'insights'] as const;
  const databases = Object.fromEntries(
    await Promise.all(names.map(async (database) => [database, await createDatabase()] as const)),
  ) as Record<(typeof names)[number], TestDatabase>;
  const variable = (database: string) => `SHOP_${database.toUpperCase()}_URL`;
  const env = Object.fromEntries(names.map((database) => [variable(database), databases[database].url]));
  const config = `
products:
  shop:
    catalog: ./catalog
    ledger: { kind: sourcegraph }
    releaseMarker: { kind: sourcegraph, database: frontend }
    databases:
      frontend: { ledgerKey: schema_migrations }
      orders: { ledgerKey: orders_schema_migrations }
      insights: { ledgerKey: insights_schema_migrations }
instances:
  ${name}:
    product: shop
    databases: { ${names.map((database) => `${database}: { url: { env: ${variable(database)} } }`).join(', ')} }
    options: { data: { firstBatchRows: 100 } }
`;
  const engine = await openTestEngine({ config, folder, env });
  onTestFinished(async () => {
    await engine.close();
    for (const database of Object.values(databases)) {
      await expectNoLeaks(database);
      await database.drop();
    }
  });
  const { orders } = databases;
  const go = async (to: string, direction: 'up' | 'down') => {
    const { plan } = await engine.plan({ instance: name, to, direction });
    const type = direction === 'up' ? 'upgrade' : 'downgrade';
    return engine.start(type, { instance: name, to, acceptDataLoss: plan.id });
  };

  await (await go('v2.1.0', 'up')).unaided();
  await orders.query(
    `insert into customers (email, name) select 'ann' || n || '@example.org', 'Ann' from generate_series(1, ${CUSTOMERS}) n`,
  );

  // There: killed while its sixth batch waits in its transaction.
  const there = await closeGate(orders, 1);
  await orders.query(WITNESS(1, 550));
  const first = await startPython(python, 'shop-data', env);
  const up = await go('v3.0.0', 'up');
  await there.waiter();
  await first.kill();
  const second = await startPython(python, 'shop-data', env);
  await there.open();
  expect(await up.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v3.0.0' });
  expect(await orders.query(SEEN)).toEqual([{ sealed: true, rows: CUSTOMERS, customers: CUSTOMERS }]);
  expect(await orders.query(ADDRESSES)).toEqual([{ plain: 0, sealed: CUSTOMERS }]);

  // And back, the same.
  const back = await closeGate(orders, 2);
  await orders.query(WITNESS(2, 350));
  const down = await go('v2.0.0', 'down');
  await back.waiter();
  await second.kill();
  await startPython(python, 'shop-data', env);
  await back.open();
  expect(await down.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v2.0.0' });
  expect(await orders.query(SEEN)).toEqual([
    { sealed: false, rows: CUSTOMERS, customers: CUSTOMERS },
    { sealed: true, rows: CUSTOMERS, customers: CUSTOMERS },
  ]);
  expect(await orders.query(ADDRESSES)).toEqual([{ plain: CUSTOMERS, sealed: 0 }]);
  expect(
    await orders.query(
      `select act, state, rows::int, progress from pgunwind.data_step where id = '2' order by started_at`,
    ),
  ).toEqual([
    { act: 'forward', state: 'done', rows: CUSTOMERS, progress: 1 },
    { act: 'reverse', state: 'done', rows: CUSTOMERS, progress: 0 },
  ]);
  const urls = Object.values(databases).map(({ url }) => url);
  const secrets = forbidden({ urls, rows: ['ann17@example.org', KEY] });
  expect(secretsIn([await up.history(), await down.history()], secrets)).toEqual([]);
});
