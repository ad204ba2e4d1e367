import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { parseConfig } from '../../src/config/load.js';
import type { Direction } from '../../src/contract/plan.js';
import { openTestEngine, type TestEngine, type TestRun } from '../support/engine.js';
import { forbidden, keptOf, secretsIn } from '../support/kept.js';
import {
  asTemplate,
  createDatabase,
  createRole,
  dropRole,
  dropTemplate,
  expectNoLeaks,
  type TestDatabase,
} from '../support/postgres.js';
import { until } from '../support/until.js';
import { inFolder, migration, write, type Files } from '../unit/catalog/sources.js';
import { failureOf } from '../workflows/harness.js';

/** Stands in a script: must not leave the database. */
const LITERAL = 'literal-of-a-script-4711';
/** Stands in a row, and the server repeats it in the message of a failing cast. */
const ROW_VALUE = 'row-value-0815@example.com';

const saw = (what: string) => `insert into witness (what) values ('${what}');`;
const table = (id: number, name: string) =>
  migration(`${id}_${name}`, id === 1 ? [] : [id - 1], {
    up: `create table ${name} (id integer); ${saw(`${id} up`)}`,
    down: `drop table ${name}; ${saw(`${id} down`)}`,
  });
const frontend: Readonly<Record<number, Files>> = {
  1: migration('1_accounts', [], {
    up: 'create table accounts (email text); create table witness (n serial, what text, who text default current_user);',
    down: 'drop table witness; drop table accounts;',
  }),
  2: table(2, 'notes'),
  3: table(3, 'labels'),
  4: table(4, 'tags'),
  5: migration('5_owner', [4], { up: saw('5 up'), down: saw('5 down'), extra: 'privileged: true\n' }),
  6: migration('6_numbers', [5], {
    up: `create table numbers (id integer); ${saw('6 up')}`,
    down: `alter table accounts alter column email type integer using (email || replace('${LITERAL}', '${LITERAL}', ''))::integer;
      drop table numbers; ${saw('6 down')}`,
  }),
  9: migration('9_elsewhere', [3], { up: saw('9 up'), down: saw('9 down') }),
};
const orders: Readonly<Record<number, Files>> = {
  1: migration('1_orders', [], { up: 'create table orders (id integer);', down: 'drop table orders;' }),
  2: migration('2_lines', [1], { up: 'create table lines (id integer);', down: 'drop table lines;' }),
  3: migration('3_parcels', [2], { up: 'create table parcels (id integer);', down: 'drop table parcels;' }),
};
const of = (all: Readonly<Record<number, Files>>, ids: readonly number[]) => ids.map((id) => all[id] as Files);
const shop = (ours: readonly number[], theirs: readonly number[]): Files => ({
  ...inFolder('frontend', ...of(frontend, ours)),
  ...inFolder('orders', ...of(orders, theirs)),
});
const SHOP: Readonly<Record<string, Files>> = {
  'v1.0.0': shop([1, 2], [1]),
  'v1.1.0': shop([1, 2, 3], [1, 2]),
  'v1.5.0': shop([1, 2, 3, 9], [1, 2]), // a branch that v2.0.0 does not have
  'v2.0.0': shop([1, 2, 3, 4, 5], [1, 2, 3]),
  'v3.0.0': shop([1, 2, 3, 4, 5, 6], [1, 2, 3]),
};

// 1 → 2 → 3 in v1; v2 folds them into the root 3 and goes on with 4.
const part = (id: number) =>
  migration(`${id}_part`, id === 1 ? [] : [id - 1], {
    up: `create table part${id} (id integer);`,
    down: `drop table part${id};`,
  });
const SQUASHED: Readonly<Record<string, Files>> = {
  'v1.0.0': inFolder('frontend', part(1)),
  'v1.1.0': inFolder('frontend', part(1), part(2), part(3)),
  'v2.0.0': inFolder(
    'frontend',
    migration('3_squashed', [], {
      name: 'squashed migrations',
      up: [1, 2, 3].map((id) => `create table part${id} (id integer);`).join(' '),
      down: '-- Nothing',
    }),
    part(4),
  ),
};

let folder = '';
let anchor: TestDatabase;
const templates: TestDatabase[] = [];
let atVersion: Readonly<Record<'v2.0.0' | 'v3.0.0', Readonly<Record<Name, string>>>>;
type Name = 'frontend' | 'orders';
const NAMES: readonly Name[] = ['frontend', 'orders'];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-bad-input-'));
  await catalogOf('shop', SHOP);
  await catalogOf('squashed', SQUASHED);
  await catalogOf('born-late', { 'v2.0.0': SQUASHED['v2.0.0'] as Files });
  anchor = await createDatabase();
  atVersion = { 'v2.0.0': await templateAt('v2.0.0'), 'v3.0.0': await templateAt('v3.0.0') };
});
afterAll(async () => {
  for (const template of templates) await dropTemplate(template);
  await anchor?.drop();
  if (folder !== '') await rm(folder, { recursive: true });
});

async function catalogOf(product: string, releases: Readonly<Record<string, Files>>): Promise<void> {
  const source = path.join(folder, 'sources', product);
  for (const [label, files] of Object.entries(releases)) write(path.join(source, label), files);
  await writeCatalog(path.join(folder, product), await buildCatalog({ product, format: 'sourcegraph', source }));
}

/** As its own migrator would have left it. */
async function templateAt(release: string): Promise<Readonly<Record<Name, string>>> {
  const databases = { frontend: await owned(), orders: await owned() };
  const name = nameOf();
  const engine = await openTestEngine({ config: shopOf(name), folder, env: envOf(databases) });
  await (await engine.start('upgrade', { instance: name, to: release })).unaided();
  await engine.close();
  for (const database of NAMES) {
    await databases[database].query('drop schema pgunwind cascade');
    templates.push(databases[database]);
  }
  await databases.frontend.query('truncate witness');
  return { frontend: await asTemplate(databases.frontend), orders: await asTemplate(databases.orders) };
}

const owned = (template?: string) =>
  createDatabase({ owner: anchor.role, ...(template === undefined ? {} : { template }) });
const nameOf = () => `acme-${randomUUID().slice(0, 8)}`;
const envOf = (databases: Readonly<Record<Name, TestDatabase>>): NodeJS.ProcessEnv => ({
  FRONTEND_URL: databases.frontend.url,
  ORDERS_URL: databases.orders.url,
});
const shopOf = (name: string, { frontendMore = '', options = '{}' } = {}) => `
products:
  shop:
    catalog: ./shop
    ledger: { kind: sourcegraph }
    databases:
      frontend: { ledgerKey: schema_migrations }
      orders: { ledgerKey: orders_schema_migrations }
instances:
  ${name}:
    product: shop
    databases:
      frontend: { url: { env: FRONTEND_URL }${frontendMore} }
      orders: { url: { env: ORDERS_URL } }
    options: ${options}
`;

interface Shop {
  readonly name: string;
  readonly databases: Readonly<Record<Name, TestDatabase>>;
  readonly env: NodeJS.ProcessEnv;
  readonly engine: TestEngine;
  /** Another worker process, as after a crash or a deployment. */
  another(): Promise<TestEngine>;
  start(direction: Direction, to: string, more?: Record<string, unknown>, workflowId?: string): Promise<TestRun>;
  /** The same with consent to its plan. */
  startWithConsent(direction: Direction, to: string, more?: Record<string, unknown>): Promise<TestRun>;
  witnessed(): Promise<readonly string[]>;
}

/** An instance with databases of its own at that release, or with empty ones, and a worker for it. */
async function open(
  release: 'v2.0.0' | 'v3.0.0' | 'empty',
  more?: Parameters<typeof shopOf>[1],
  atEnd: (work: () => Promise<void>) => void = onTestFinished,
): Promise<Shop> {
  const name = nameOf();
  const from = release === 'empty' ? null : atVersion[release];
  const databases = { frontend: await owned(from?.frontend), orders: await owned(from?.orders) };
  const env = envOf(databases);
  const engines: TestEngine[] = [];
  atEnd(async () => {
    for (const engine of engines) await engine.close();
    for (const database of NAMES) {
      await expectNoLeaks(databases[database]);
      await databases[database].drop();
    }
  });
  const another = async () => {
    const made = await openTestEngine({ config: shopOf(name, more), folder, env });
    engines.push(made);
    return made;
  };
  const engine = await another();
  const start: Shop['start'] = (direction, to, rest = {}, workflowId) =>
    (engines.at(-1) as TestEngine).start(
      direction === 'down' ? 'downgrade' : 'upgrade',
      { instance: name, to, ...rest },
      workflowId === undefined ? {} : { workflowId },
    );
  return {
    name,
    databases,
    env,
    engine,
    another,
    start,
    async startWithConsent(direction, to, rest = {}) {
      const { plan } = await (engines.at(-1) as TestEngine).plan({ instance: name, to, direction });
      return start(direction, to, { acceptDataLoss: plan.id, ...rest });
    },
    async witnessed() {
      const rows = await databases.frontend.query<{ what: string }>('select what from witness order by n');
      return rows.map(({ what }) => what);
    },
  };
}

const SCRIPTS = Object.values(SHOP)
  .flatMap((files) => Object.entries(files))
  .flatMap(([file, text]) => (file.endsWith('.sql') ? [text] : []));

/** Neither passwords nor texts of scripts nor rows: not in what Temporal keeps and shows, not in the worker's log. */
async function expectNoSecrets(run: TestRun, engine: TestEngine): Promise<void> {
  const list = forbidden({
    passwords: [inject('postgres').password],
    scripts: [...SCRIPTS, LITERAL, 'drop table', 'insert into'],
    rows: [ROW_VALUE],
  });
  const kept = await keptOf(run.handle);
  expect(kept.join('\n'), 'the decoded history').toContain('"instance"');
  expect(secretsIn(kept, list)).toEqual([]);
  expect(secretsIn([engine.logged()], list)).toEqual([]);
}

const journals = async ({ databases }: Shop) =>
  Promise.all(
    NAMES.map(async (name) => {
      const [row] = await databases[name].query<{ there: boolean }>(
        `select to_regnamespace('pgunwind') is not null as there`,
      );
      return row?.there;
    }),
  );

describe('what cannot be asked for fails at once, and nothing is touched', () => {
  let it: Shop; // no run gets as far as to change it
  let end: () => Promise<void>;
  beforeAll(async () => {
    it = await open('v2.0.0', {}, (work) => (end = work));
  });
  afterAll(() => end());

  test.each([
    [
      'an instance that is not configured',
      { instance: 'acme-' },
      'UnknownInstance',
      /did you mean "acme-|known: "acme-/,
    ],
    ['a release that no label has', { to: 'v1.1.1' }, 'UnknownRelease', /v1\.1\.0/],
    ['a target above', { to: 'v3.0.0' }, 'TargetNotReachable', /"pg-unwind upgrade"/],
    ['a target on another branch', { to: 'v1.5.0' }, 'TargetNotReachable', /v1\.1\.0/],
    ['a start that is not where the instance stands', { to: 'v1.0.0', from: 'v3.0.0' }, 'InvalidInput', /v2\.0\.0/],
    ['a start that no label has', { to: 'v1.0.0', from: 'v2.0.1' }, 'UnknownRelease', /v2\.0\.0/],
    ['an unknown field', { to: 'v1.0.0', froce: true }, 'InvalidInput', /"froce"/],
    ['a field of a wrong type', { to: 1 }, 'InvalidInput', /"to"/],
  ])('%s', async (_, input, type, message) => {
    const run = await it.start('down', 'v1.0.0', input);
    const failure = await failureOf(run.report);
    expect(failure.type).toBe(type);
    expect(failure.message).toMatch(message);
    expect(await journals(it)).toEqual([false, false]);
    await expectNoSecrets(run, it.engine);
  });

  test.each([
    ['no input at all', []],
    ['a text', ['acme']],
    ['null', [null]],
  ])('%s as input', async (_, args) => {
    const { report } = await it.engine.start('downgrade', null, { args });
    expect(await failureOf(report)).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('the input'),
    });
  });

  test('a misspelt release is said even where the databases cannot be reached', async () => {
    const it = await open('v2.0.0');
    it.env['FRONTEND_URL'] = 'postgres://nobody@127.0.0.1:1/gone';
    expect((await failureOf((await it.start('down', 'v1.1.1')).report)).type).toBe('UnknownRelease');
  });

  test('a misspelt release is said even where a database is dirty', async () => {
    const it = await open('v2.0.0');
    await it.databases.frontend.query('update migration_logs set success = false where version = 5');
    expect((await failureOf((await it.start('down', 'v1.1.1')).report)).type).toBe('UnknownRelease');
  });

  test('a variable that is not set is named, without asking for the others', async () => {
    const it = await open('v2.0.0');
    delete it.env['ORDERS_URL'];
    const run = await it.start('down', 'v1.0.0');
    const failure = await failureOf(run.report);
    expect(failure.type).toBe('InvalidConfig');
    expect(failure.message).toContain('ORDERS_URL');
    await expectNoSecrets(run, it.engine);
  });

  test('a product that the configuration does not have stops the worker before it starts', () => {
    const text = shopOf('acme').replace('product: shop', 'product: shpo');
    expect(() => parseConfig(text, path.join(folder, 'pg-unwind.yaml'))).toThrow(
      /no product "shpo"; did you mean "shop"/,
    );
  });
});

test('an instance that is there already is checked, and says so', async () => {
  const it = await open('v2.0.0');
  const report = await (await it.start('down', 'v2.0.0')).unaided();
  expect(report).toMatchObject({ outcome: 'alreadyThere', from: 'v2.0.0', standsAt: 'v2.0.0', stepsTotal: 0 });
  expect(await it.witnessed()).toEqual([]);
  expect(await (await it.start('up', 'v2.0.0')).unaided()).toMatchObject({ outcome: 'alreadyThere' });
});

test('an applied id that no release knows parks the run, which names it and goes on once it is gone', async () => {
  const it = await open('v2.0.0');
  await it.databases.orders.query(
    `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
     values (2, 'orders_schema_migrations', 777, true, now(), now(), true)`,
  );
  const run = await it.startWithConsent('down', 'v1.0.0').catch(() => it.start('down', 'v1.0.0'));
  const { parked } = await run.inState('needsOperator');
  expect(parked).toMatchObject([{ database: null, during: 'plan', failure: 'UnknownMigration' }]);
  expect(parked[0]?.message).toContain('"orders": 777');
  await it.databases.orders.query('delete from migration_logs where version = 777');
  await run.update('retryStep');
  const { plan } = await run.inState('awaitingApproval');
  await run.update('approve', { plan });
  expect((await run.unaided()).outcome).toBe('completed');
});

describe('a database without a ledger', () => {
  test('that is empty is filled by an upgrade', async () => {
    const it = await open('empty');
    const report = await (await it.start('up', 'v2.0.0')).unaided();
    expect(report).toMatchObject({ outcome: 'completed', from: null, standsAt: 'v2.0.0', stepsDone: 8 });
    const verdicts = await it.engine.check({ instance: it.name });
    expect(verdicts).toMatchObject({ frontend: { clean: true }, orders: { clean: true } });
  });

  test('cannot be downgraded: the run says what it found, and an abort ends it', async () => {
    const it = await open('empty');
    const run = await it.start('down', 'v1.0.0');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ failure: 'NoLedger', during: 'plan' }]);
    expect(parked[0]?.message).toMatch(/holds no tables.*pg-unwind upgrade/);
    await run.update('abort');
    expect((await run.report).outcome).toBe('aborted');
    expect(await journals(it)).toEqual([false, false]);
  });

  test('that holds tables is not upgraded either', async () => {
    const it = await open('empty');
    await it.databases.orders.query('create table somebody_elses (id integer)');
    const run = await it.start('up', 'v2.0.0');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ failure: 'NoLedger' }]);
    expect(parked[0]?.message).toMatch(/"orders" cannot be upgraded.*holds 1 table/);
    await run.update('abort');
    await run.report;
  });
});

test('databases at different releases are planned and run as they stand', async () => {
  const it = await open('v2.0.0');
  await it.databases.orders.query('drop table parcels; drop table lines; delete from migration_logs where version > 1');
  const run = await it.startWithConsent('down', 'v1.0.0');
  const report = await run.unaided();
  expect(report).toMatchObject({ outcome: 'completed', from: null, standsAt: 'v1.0.0', stepsDone: 3 });
  expect(await it.witnessed()).toEqual(['5 down', '4 down', '3 down']);
});

describe('rights', () => {
  test('a role that does not own the tables is named before anything runs', async () => {
    const it = await open('v2.0.0');
    const { frontend } = it.databases;
    const role = await createRole(frontend, 'guest');
    onTestFinished(() => dropRole(frontend, role));
    await frontend.asSuperuser(`grant all on all tables in schema public to ${role}`);
    it.env['FRONTEND_URL'] = frontend.urlAs(role);
    const run = await it.start('down', 'v1.0.0');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ failure: 'InsufficientPrivileges', during: 'plan' }]);
    expect(parked[0]?.message).toMatch(new RegExp(`"${role}" does not own .*accounts`));
    expect(await journals(it)).toEqual([false, false]);
    await run.update('abort');
    expect((await run.report).outcome).toBe('aborted');
  });

  test('a privileged step runs on the second connection, all others on the first', async () => {
    const it = await open('v2.0.0', { frontendMore: ', privilegedUrl: { env: FRONTEND_ADMIN_URL }' });
    it.env['FRONTEND_ADMIN_URL'] = it.databases.frontend.superuserUrl;
    expect((await (await it.startWithConsent('down', 'v1.0.0')).unaided()).outcome).toBe('completed');
    const rows = await it.databases.frontend.query('select what, who from witness order by n');
    expect(rows).toEqual([
      { what: '5 down', who: new URL(it.databases.frontend.superuserUrl).username },
      { what: '4 down', who: it.databases.frontend.role },
      { what: '3 down', who: it.databases.frontend.role },
    ]);
  });

  test('a wrong password parks the run, which goes on with the right one', async () => {
    const it = await open('v2.0.0');
    const url = new URL(it.databases.frontend.url);
    url.password = 'not-the-password-2718';
    it.env['FRONTEND_URL'] = url.href;
    const run = await it.start('down', 'v1.1.0');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ failure: 'InsufficientPrivileges', during: 'plan' }]);
    expect(parked[0]?.message).toMatch(/refuses the login.*28P01/);
    it.env['FRONTEND_URL'] = it.databases.frontend.url;
    await run.update('retryStep');
    const { plan } = await run.inState('awaitingApproval');
    await run.update('approve', { plan });
    expect((await run.unaided()).outcome).toBe('completed');
    expect(await run.history()).not.toContain('2718');
    await expectNoSecrets(run, it.engine);
  });

  test('a server that cannot be reached is tried again for as long as nobody aborts', async () => {
    const it = await open('v2.0.0');
    const right = it.env['FRONTEND_URL'];
    it.env['FRONTEND_URL'] = 'postgres://app:not-the-password-2718@127.0.0.1:1/gone';
    const run = await it.start('down', 'v1.1.0');
    const seen = await until(
      async () => {
        const { raw } = await run.handle.describe();
        return raw.pendingActivities?.find(({ attempt }) => Number(attempt) > 1)?.lastFailure?.message;
      },
      { describe: 'a second attempt at the plan', within: 30_000 },
    );
    expect(seen).toMatch(/"gone" at 127\.0\.0\.1:1 as app cannot be reached/);
    expect((await run.status()).state).toBe('planning');
    it.env['FRONTEND_URL'] = right;
    const { plan } = await run.inState('awaitingApproval');
    await run.update('approve', { plan });
    expect((await run.unaided()).outcome).toBe('completed');
    expect(await run.history()).not.toContain('2718');
  });
});

describe('dirt', () => {
  test("a failed row in the product's ledger parks the run before it plans; a repair and retryStep go on", async () => {
    const it = await open('v2.0.0');
    await it.databases.frontend.query(
      `update migration_logs set success = false, error_message = '${ROW_VALUE}' where version = 4`,
    );
    const run = await it.start('down', 'v1.0.0');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([
      { failure: 'DirtyDatabase', during: 'plan', reasons: [{ code: 'failedLedgerRow', database: 'frontend' }] },
    ]);
    expect(parked[0]?.reasons[0]?.evidence).toContain('4 (up-failed)');
    expect(await it.engine.check({ instance: it.name })).toMatchObject({
      frontend: { clean: false, reasons: [{ code: 'failedLedgerRow' }] },
      orders: { clean: true },
    });
    await it.databases.frontend.query(
      'update migration_logs set success = true, error_message = null where version = 4',
    );
    await run.update('retryStep', { by: 'ann' });
    const { plan } = await run.inState('awaitingApproval');
    await run.update('approve', { plan, by: 'ann' });
    expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
    await expectNoSecrets(run, it.engine);
  });

  test('a script that fails parks its database; the row that it met stays in the journal', async () => {
    const it = await open('v3.0.0');
    await it.databases.frontend.query('insert into accounts values ($1)', [ROW_VALUE]);
    const run = await it.startWithConsent('down', 'v1.0.0');
    const { parked } = await run.inState('needsOperator');
    expect(parked).toMatchObject([
      { database: 'frontend', seq: 1, migration: '6', during: 'step', failure: 'StepFailed' },
    ]);
    expect(parked[0]?.message).toContain('22P02');
    const [failure] = await it.databases.frontend.query<{ message: string }>('select message from pgunwind.failure');
    expect(failure?.message).toContain(ROW_VALUE);
    await expectNoSecrets(run, it.engine);

    await it.databases.frontend.query('delete from accounts');
    await run.update('retryStep', { database: 'frontend' });
    expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
    expect(await it.witnessed()).toEqual(['6 down', '5 down', '4 down', '3 down']);
    await expectNoSecrets(run, it.engine);
  });
});

describe('an instance that is already being unwound', () => {
  test('cannot be started a second time, under its own id or another', async () => {
    const it = await open('v3.0.0');
    await it.databases.frontend.query('insert into accounts values ($1)', [ROW_VALUE]);
    const first = await it.startWithConsent('down', 'v1.0.0');
    await first.inState('needsOperator');
    await expect(it.start('down', 'v1.0.0')).rejects.toThrow(/already started|already exists|already running/i);

    const { plan } = await it.engine.plan({ instance: it.name, to: 'v1.0.0', direction: 'down' });
    const second = await it.start('down', 'v1.0.0', { acceptDataLoss: plan.id }, `another/${it.name}`);
    const { parked } = await second.inState('needsOperator');
    expect(parked).toMatchObject([{ failure: 'ClaimedByAnother', during: 'claim', database: null }]);
    expect(parked[0]?.message).toContain(`unwind/${it.name}`);
    await second.update('abort');
    expect((await second.report).outcome).toBe('aborted');

    await it.databases.frontend.query('delete from accounts');
    await first.update('retryStep');
    expect(await first.unaided()).toMatchObject({ outcome: 'completed' });
    expect(await it.witnessed()).toEqual(['6 down', '5 down', '4 down', '3 down']);
  });
});

test('an instance born after a squash goes down below it', async () => {
  const name = nameOf();
  const database = await owned();
  const env = { FRONTEND_URL: database.url };
  const product = (catalog: string) => `
products:
  parts:
    catalog: ./${catalog}
    ledger: { kind: sourcegraph }
    databases: { frontend: { ledgerKey: schema_migrations } }
instances:
  ${name}: { product: parts, databases: { frontend: { url: { env: FRONTEND_URL } } } }
`;
  const late = await openTestEngine({ config: product('born-late'), folder, env });
  onTestFinished(async () => {
    await late.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  await (await late.start('upgrade', { instance: name, to: 'v2.0.0' })).unaided();
  await late.close();
  const ledger = () =>
    database
      .query<{ version: number }>('select version from migration_logs where up order by id')
      .then((rows) => rows.map(({ version }) => version));
  expect(await ledger()).toEqual([3, 4]);

  const engine = await openTestEngine({ config: product('squashed'), folder, env });
  onTestFinished(() => engine.close());
  const { plan } = await engine.plan({ instance: name, to: 'v1.0.0', direction: 'down' });
  expect(plan.from.release).toBe('v2.0.0');
  const run = await engine.start('downgrade', { instance: name, to: 'v1.0.0', acceptDataLoss: plan.id });
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', stepsDone: 3 });
  const tables = await database.query<{ name: string }>(
    `select relname as name from pg_class where relname ~ '^part' and relkind = 'r'`,
  );
  expect(tables).toEqual([{ name: 'part1' }]);

  const { plan: back } = await engine.plan({ instance: name, to: 'v2.0.0', direction: 'up' });
  expect(back.from.release).toBe('v1.0.0');
  const up = await engine.start('upgrade', { instance: name, to: 'v2.0.0', acceptDataLoss: back.id });
  expect(await up.unaided()).toMatchObject({ outcome: 'completed', from: 'v1.0.0', stepsDone: 3 });
});

describe('a run that was left half-way', () => {
  /** Stands before its second step, the down of 4, whose table somebody holds; then its workflow and its worker are gone. */
  async function leftHalfWay(it: Shop): Promise<{ run: string; plan: string | null }> {
    const holder = new pg.Client({ connectionString: it.databases.frontend.url, application_name: 'somebody' });
    await holder.connect();
    try {
      await holder.query('begin; lock table tags in access share mode');
      const run = await it.startWithConsent('down', 'v1.0.0');
      const seen = await until(
        async () => {
          const status = await run.status();
          const { raw } = await run.handle.describe();
          const second = raw.pendingActivities?.find(({ activityId }) => activityId === 'frontend-0002-down');
          return Number(second?.attempt ?? 0) > 1 && status;
        },
        { describe: 'a second attempt at the second step', within: 60_000 },
      );
      expect(await it.witnessed()).toEqual(['5 down']);
      await run.handle.terminate('lost');
      await it.engine.close();
      return seen;
    } finally {
      await holder.end();
    }
  }

  test('goes on under its own plan and run when it is started again, and repeats nothing', async () => {
    const it = await open('v2.0.0');
    const before = await leftHalfWay(it);
    const engine = await it.another();
    expect(await engine.check({ instance: it.name })).toMatchObject({
      frontend: { clean: true },
      orders: { clean: true },
    });
    const report = await (await it.start('down', 'v1.0.0')).unaided();
    expect(report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', run: before.run, plan: before.plan });
    expect(report.stepsDone).toBe(5);
    expect(await it.witnessed()).toEqual(['5 down', '4 down', '3 down']);
    const runs = await it.databases.frontend.query('select run, state from pgunwind.run');
    expect(runs).toEqual([{ run: before.run, state: 'completed' }]);
  });

  test('is planned from journal and ledger when Temporal has lost it, by whoever takes it over', async () => {
    const it = await open('v2.0.0');
    const before = await leftHalfWay(it);
    await it.another();
    const elsewhere = `elsewhere/${it.name}`;
    const { plan } = await it
      .another()
      .then((engine) => engine.plan({ instance: it.name, to: 'v1.0.0', direction: 'down' }));
    const refused = await it.start('down', 'v1.0.0', { acceptDataLoss: plan.id }, elsewhere);
    expect((await refused.inState('needsOperator')).parked).toMatchObject([{ failure: 'ClaimedByAnother' }]);
    await refused.update('abort');
    await refused.report;

    const taken = await it.start('down', 'v1.0.0', { acceptDataLoss: plan.id, takeOver: true, by: 'ann' }, elsewhere);
    const report = await taken.unaided();
    expect(report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
    expect(report.run).not.toBe(before.run);
    expect(report.decisions.map(({ kind }) => kind)).toContain('takeOver');
    expect(await it.witnessed()).toEqual(['5 down', '4 down', '3 down']);
    const runs = await it.databases.frontend.query('select state from pgunwind.run where run = $1', [before.run]);
    expect(runs).toEqual([{ state: 'superseded' }]);
  });
});
