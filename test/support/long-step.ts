import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, onTestFinished } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { findTemporal } from '../../src/temporal/find-temporal.js';
import { folderOfReleases, inFolder, migration, temporaryDirectory } from '../unit/catalog/sources.js';
import { openTestEngine, type TestEngine, type TestRun } from './engine.js';
import { forbidden, keptOf, secretsIn } from './kept.js';
import { closeGate, waitAt, type Gate } from './gate.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from './postgres.js';

const SCRIPT_LITERAL = 'literal-of-a-long-script';

const GATE = 3;

/** The one of the four steps down that waits at the gate, and its activity. */
export const LONG = { seq: 2, migration: '4', activityId: 'frontend-0002-down' } as const;

/** What the four steps leave in the witness table. */
export const ALL_DOWN = ['seen 5 down', 'seen 4 down', 'seen 3 down', 'seen 2 down'];

const saw = (what: string) => `insert into witness (what) values ('seen ${what}');`;
const part = (id: number, down = '') =>
  migration(`${id}_part`, [id - 1], {
    up: `create view part${id} as select ${id} as n; ${saw(`${id} up`)}`,
    down: `${down} drop view part${id}; ${saw(`${id} down`)}`,
  });

export interface LongStepOptions {
  /** What the long step does first, in place of waiting at the gate. */
  readonly long?: string;
  /** Options of the instance, as in `pg-unwind.yaml`. */
  readonly options?: string;
}

export interface Pending {
  readonly attempt: number;
  readonly paused: boolean;
  readonly running: boolean;
  /** Type of the last attempt's failure. */
  readonly failed: string | null;
}

/** An instance of one database, four steps above its target, the second of which takes as long as the test wants. */
export interface LongStep {
  readonly name: string;
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  readonly gate: Gate;
  down(): Promise<TestRun>;
  /** Another worker, as after a crash or a deployment. */
  another(): Promise<TestEngine>;
  /** What the scripts have left, in their order: each once. */
  witnessed(): Promise<readonly string[]>;
  /** How often the long script was begun, committed or not. */
  tries(): Promise<number>;
  /** The backend that carries out the long step; undefined: none. */
  backend(): Promise<number | undefined>;
  /** Temporal keeps nothing of the run that must not leave the database. */
  expectNoSecrets(run: TestRun): Promise<void>;
  /** The long step's activity as Temporal has it now; undefined: it is not pending. */
  pending(run: TestRun): Promise<Pending | undefined>;
  /** `temporal activity <verb>` on the long step, as a person types it. */
  activity(verb: string, run: TestRun, ...flags: readonly string[]): Promise<string>;
}

export async function openLongStep({ long = waitAt(GATE), options = '{}' }: LongStepOptions = {}): Promise<LongStep> {
  const folder = temporaryDirectory();
  const first = migration('1_witness', [], {
    up: 'create table witness (n serial, what text); create sequence tries;',
    down: 'drop sequence tries; drop table witness;',
  });
  const late = [part(2), part(3), part(4, `select nextval('tries'), '${SCRIPT_LITERAL}'; ${long}`), part(5)];
  const source = folderOfReleases({
    'v1.0.0': inFolder('frontend', first),
    'v2.0.0': inFolder('frontend', first, ...late),
  });
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
  const database = await createDatabase();
  const name = `long-${randomUUID().slice(0, 8)}`;
  const config = `
products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  ${name}: { product: shop, databases: { frontend: { url: { env: FRONTEND_URL } } }, options: ${options} }
`;
  const env = { FRONTEND_URL: database.url };
  const engines: TestEngine[] = [];
  const another = async () => {
    const engine = await openTestEngine({ config, folder, env, worker: { maxHeartbeatThrottleInterval: '1s' } });
    engines.push(engine);
    return engine;
  };
  const engine = await another();
  const gate = await closeGate(database, GATE);
  onTestFinished(async () => {
    await gate.open().catch(() => undefined); // most have opened it
    for (const each of engines) await each.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  await (await engine.start('upgrade', { instance: name, to: 'v2.0.0' })).unaided();
  await database.query('truncate witness');

  return {
    name,
    database,
    engine,
    gate,
    another,
    down: () => (engines.at(-1) as TestEngine).start('downgrade', { instance: name, to: 'v1.0.0' }),
    async witnessed() {
      const rows = await database.query<{ what: string }>('select what from witness order by n');
      return rows.map(({ what }) => what);
    },
    async tries() {
      const [row] = await database.query<{ tries: number }>(
        'select case when is_called then last_value else 0 end::integer as tries from tries',
      );
      return row?.tries ?? 0;
    },
    async backend() {
      const rows = await database.asSuperuser<{ pid: number }>(
        `select pid from pg_stat_activity
          where datname = current_database() and application_name like 'pgu:%:2' and state = 'active'`,
      );
      return rows[0]?.pid;
    },
    async expectNoSecrets({ handle }) {
      const scripts = [first, ...late].flatMap((files) => Object.values(files));
      const list = forbidden({
        urls: [database.url, database.superuserUrl],
        passwords: [inject('postgres').password],
        scripts: [...scripts.filter((text) => !text.startsWith('name:')), SCRIPT_LITERAL],
        rows: ALL_DOWN,
      });
      expect(secretsIn(await keptOf(handle), list)).toEqual([]);
    },
    async pending({ handle }) {
      const { raw } = await handle.describe();
      const found = raw.pendingActivities?.find(({ activityId }) => activityId === LONG.activityId);
      return found
        ? {
            attempt: found.attempt ?? 0,
            paused: found.paused ?? false,
            running: found.lastStartedTime != null,
            failed: found.lastFailure?.applicationFailureInfo?.type ?? null,
          }
        : undefined;
    },
    async activity(verb, run, ...flags) {
      const { address, namespace } = inject('temporal');
      const { path: temporal } = await findTemporal();
      const words = ['activity', verb, '--address', address, '--namespace', namespace];
      const of = ['--workflow-id', run.workflowId, '--activity-id', LONG.activityId];
      const { stdout } = await promisify(execFile)(temporal, [...words, ...of, ...flags]);
      return stdout;
    },
  };
}
