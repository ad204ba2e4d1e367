import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import type { Parked } from '../../src/contract/messages.js';
import { describeDifference, diffFingerprints } from '../../src/postgres/fingerprint-difference.js';
import { readFingerprint, type Fingerprint } from '../../src/postgres/fingerprint.js';
import { openTestEngine, type TestEngine, type TestRun } from '../support/engine.js';
import { waitAt } from '../support/gate.js';
import {
  asTemplate,
  createDatabase,
  dropTemplate,
  expectNoLeaks,
  withClient,
  type TestDatabase,
} from '../support/postgres.js';
import { until } from '../support/until.js';
import { inFolder, migration, write, type Files } from '../unit/catalog/sources.js';

/**
 * A product with one database, whose scripts can be made to wait or to fail, each with one witness row. From v3.0.0 to v1.0.0 the
 * steps are 6, 5, 4 (leg 1) and 3, 2 (leg 2).
 */
const part = (id: number, more = '') =>
  migration(`${id}_part`, [id - 1], {
    up: `create table part${id} (id integer); insert into witness (what) values ('${id} up');`,
    down: `${waitAt(id)} select 1 / (1 - count(*)) from hold where migration = ${id}; ${more}
      drop table part${id}; insert into witness (what) values ('${id} down');`,
  });
const MIGRATIONS: Readonly<Record<number, Files>> = {
  1: migration('1_base', [], {
    up: `create table witness (n serial, what text); create table hold (migration integer); create table heap (note text);
      create table bystander (id integer primary key);`,
    down: 'drop table bystander; drop table heap; drop table hold; drop table witness;',
  }),
  2: part(2),
  3: part(3),
  4: part(4),
  5: part(
    5,
    'insert into heap select repeat(md5(g::text), 30) from hold, generate_series(1, hold.migration) g where migration > 1000;',
  ),
  6: part(6),
};
const upTo = (last: number) =>
  inFolder('frontend', ...Array.from({ length: last }, (_, at) => MIGRATIONS[at + 1] as Files));
const RELEASES: Readonly<Record<string, Files>> = { 'v1.0.0': upTo(1), 'v2.0.0': upTo(3), 'v3.0.0': upTo(6) };

/** Sequence number of a migration's step on the way from v3.0.0 to v1.0.0. */
export const seqOf = (migration: number) => 7 - migration;

const WITNESSED = ['6 down', '5 down', '4 down', '3 down', '2 down'];

const LEDGER_ROW = `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
values (2, 'schema_migrations', $1, $2, now(), now(), true)`;

export interface OddShop {
  readonly name: string;
  /** What the connection reference finds: changed here, it leads elsewhere from the next connection on. */
  readonly env: NodeJS.ProcessEnv;
  database: TestDatabase;
  readonly engine: TestEngine;
  start(more?: Record<string, unknown>): Promise<TestRun>;
  /** A run that has parked because the script of that migration fails: between two steps, and nothing is locked. */
  parkedBefore(migration: number): Promise<TestRun>;
  /** The scripts no longer fail. */
  repair(): Promise<void>;
  /** A new run after an abort: it plans from what is there. */
  again(run: TestRun): Promise<TestRun>;
  ledgerRow(migration: number, up: boolean): Promise<void>;
  witnessed(): Promise<readonly string[]>;
  /** The run ends by itself, each script has run once, ledger and journal agree, the schema is that of an undisturbed run. */
  expectEnd(
    run: TestRun,
    more?: {
      readonly journal?: readonly number[];
      readonly witnessed?: readonly string[];
      readonly differences?: readonly string[];
    },
  ): Promise<void>;
}

export interface OddShops {
  readonly folder: string;
  open(more?: {
    readonly options?: string;
    readonly database?: TestDatabase;
    readonly role?: string;
  }): Promise<OddShop>;
  /** Brings an empty database to v3.0.0, as the product's own migrator would have left it. */
  fill(database: TestDatabase): Promise<void>;
}

/** To be called once in a file, outside of tests. */
export function oddShops(): OddShops {
  let folder = '';
  let anchor: TestDatabase;
  let template: TestDatabase;
  let undisturbed: Fingerprint;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-odd-'));
    const source = path.join(folder, 'sources');
    for (const [label, files] of Object.entries(RELEASES)) write(path.join(source, label), files);
    await writeCatalog(
      path.join(folder, 'shop'),
      await buildCatalog({ product: 'shop', format: 'sourcegraph', source }),
    );
    anchor = await createDatabase();
    template = await createDatabase({ owner: anchor.role });
    await fill(template);
    await asTemplate(template);
    const database = await createDatabase({ owner: anchor.role, template: template.name });
    const calm = await openShop(folder, database, nameOf(), '{}');
    await (await calm.start()).unaided();
    await calm.engine.close();
    undisturbed = await fingerprintOf(database);
    await database.drop();
  });
  afterAll(async () => {
    if (template !== undefined) await dropTemplate(template);
    await anchor?.drop();
    if (folder !== '') await rm(folder, { recursive: true });
  });

  async function fill(database: TestDatabase): Promise<void> {
    const name = nameOf();
    const env = { FRONTEND_URL: database.url };
    const engine = await openTestEngine({ config: configOf(name, '{}'), folder, env });
    await (await engine.start('upgrade', { instance: name, to: 'v3.0.0' })).unaided();
    await engine.close();
    await database.query('drop schema pgunwind cascade; truncate witness restart identity');
  }

  async function openShop(at: string, database: TestDatabase, name: string, options: string): Promise<OddShop> {
    const env: NodeJS.ProcessEnv = { FRONTEND_URL: database.url };
    const engine = await openTestEngine({ config: configOf(name, options), folder: at, env });
    return createShop(engine, env, database, name, () => undisturbed);
  }

  return {
    get folder() {
      return folder;
    },
    fill,
    async open({ options = '{}', database } = {}) {
      const own = database ?? (await createDatabase({ owner: anchor.role, template: template.name }));
      const shop = await openShop(folder, own, nameOf(), options);
      onTestFinished(async () => {
        await shop.engine.close();
        if (database !== undefined) return; // whoever made it takes it away
        await expectNoLeaks(shop.database);
        await own.drop();
      });
      return shop;
    },
  };
}

function createShop(
  engine: TestEngine,
  env: NodeJS.ProcessEnv,
  database: TestDatabase,
  name: string,
  undisturbed: () => Fingerprint,
): OddShop {
  const shop: OddShop = {
    name,
    env,
    database,
    engine,
    async start(more = {}) {
      const { plan } = await shop.engine.plan({ instance: name, to: 'v1.0.0', direction: 'down' });
      const input = { instance: name, to: 'v1.0.0', acceptDataLoss: plan.id, ...more };
      return shop.engine.start('downgrade', input);
    },
    async parkedBefore(migration) {
      await shop.database.query('insert into hold values ($1)', [migration]);
      const run = await shop.start();
      const parked = await parkedOf(run);
      expect(parked).toMatchObject({ failure: 'StepFailed', during: 'step', seq: seqOf(migration) });
      return run;
    },
    async repair() {
      await shop.database.query('delete from hold');
    },
    async again(run) {
      await run.update('abort', { by: 'ann' });
      expect((await run.report).outcome).toBe('aborted');
      return shop.start();
    },
    async ledgerRow(migration, up) {
      await shop.database.query(LEDGER_ROW, [migration, up]);
    },
    async witnessed() {
      const rows = await shop.database.query<{ what: string }>('select what from witness order by n');
      return rows.map(({ what }) => what);
    },
    async expectEnd(run, { journal = [6, 5, 4, 3, 2], witnessed = WITNESSED, differences: allowed = [] } = {}) {
      expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
      expect(await shop.witnessed()).toEqual(witnessed);
      const ledger = await shop.database.query<{ version: number; up: boolean; success: boolean }>(
        `select distinct on (version) version, up, success from migration_logs order by version, id desc`,
      );
      expect(ledger.every(({ success }) => success)).toBe(true);
      expect(ledger.filter(({ up }) => up).map(({ version }) => version)).toEqual([1]);
      const steps = await shop.database.query<{ migration: string }>(
        `select migration from pgunwind.step where state = 'done' order by started_at`,
      );
      expect(steps.map((step) => Number(step.migration))).toEqual(journal);
      const differences = diffFingerprints(undisturbed(), await fingerprintOf(shop.database));
      expect(differences.map(describeDifference)).toEqual(allowed);
    },
  };
  return shop;
}

/** The one place where the run is parked. */
export async function parkedOf(run: TestRun): Promise<Parked> {
  const { parked } = await run.inState('needsOperator');
  expect(parked).toHaveLength(1);
  return parked[0] as Parked;
}

/** After a `retryStep`: parked again, and not as before (the script that fails on order). */
export async function parkedAnew(run: TestRun): Promise<Parked> {
  await until(async () => (await run.status()).parked.some(({ failure }) => failure !== 'StepFailed'), {
    describe: 'the run to park for another reason',
    within: 60_000,
  });
  return parkedOf(run);
}

/** `code: evidence` of each reason. */
export const reasonsOf = ({ reasons }: Parked) => reasons.map(({ code, evidence }) => `${code}: ${evidence}`);

const nameOf = () => `odd-${randomUUID().slice(0, 8)}`;

const configOf = (name: string, options: string) => `
products:
  shop:
    catalog: ./shop
    ledger: { kind: sourcegraph }
    databases:
      frontend: { ledgerKey: schema_migrations }
instances:
  ${name}:
    product: shop
    databases:
      frontend: { url: { env: FRONTEND_URL } }
    options: ${options}
`;

function fingerprintOf(database: TestDatabase): Promise<Fingerprint> {
  return withClient(database.url, (client) => readFingerprint(client, { ignore: ['migration_logs'] }));
}
