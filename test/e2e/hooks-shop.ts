import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { openTestEngine, type TestEngine, type TestRun } from '../support/engine.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { inFolder, migration, write } from '../unit/catalog/sources.js';

/** A function more with each release: nothing that goes down loses content, so no run waits for consent. */
const part = (n: number) =>
  migration(`${n}_part`, n === 1 ? [] : [n - 1], {
    up: `create function part_${n}() returns int language sql as 'select ${n}';`,
    down: `drop function part_${n}();`,
  });

export async function buildParts(): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-hooks-'));
  const source = path.join(folder, 'sources');
  for (const last of [1, 2, 3]) {
    const parts = Array.from({ length: last }, (_, at) => part(at + 1));
    write(path.join(source, `v${last}.0.0`), inFolder('frontend', ...parts));
  }
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

export interface PartsShop {
  readonly name: string;
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  /** Of its configuration. */
  readonly content: object;
  /** From v3.0.0 to v1.0.0, with a stop at v2.0.0. */
  down(input?: Readonly<Record<string, unknown>>): Promise<TestRun>;
  /** Numbers of the parts that stand. */
  standing(): Promise<readonly number[]>;
}

/** An instance at v3.0.0 with these hooks. */
export async function openParts(
  folder: string,
  hooks: unknown,
  env: Readonly<Record<string, string>> = {},
  options: unknown = {},
): Promise<PartsShop> {
  const name = `hooks-${randomUUID().slice(0, 8)}`;
  const database = await createDatabase();
  const content = {
    products: {
      shop: {
        catalog: './shop',
        ledger: { kind: 'sourcegraph' },
        databases: { frontend: { ledgerKey: 'schema_migrations' } },
      },
    },
    instances: {
      // `plain` is the same database without hooks: what brings it to where the tests begin.
      ...Object.fromEntries(
        [
          [name, hooks],
          [`${name}-plain`, {}],
        ].map(([instance, its]) => [
          instance,
          { product: 'shop', databases: { frontend: { url: { env: 'FRONTEND_URL' } } }, hooks: its, options },
        ]),
      ),
    },
  };
  const engine = await openTestEngine({
    config: stringify(content),
    folder,
    env: { ...env, FRONTEND_URL: database.url },
  });
  onTestFinished(async () => {
    await engine.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  await (await engine.start('upgrade', { instance: `${name}-plain`, to: 'v3.0.0' })).unaided();
  return {
    name,
    database,
    engine,
    content,
    down: (input = {}) => engine.start('downgrade', { instance: name, to: 'v1.0.0', via: ['v2.0.0'], ...input }),
    standing: async () =>
      (
        await database.query<{ n: number }>(
          `select substr(proname, 6)::int as n from pg_proc where proname like 'part\\_%' order by 1`,
        )
      ).map(({ n }) => n),
  };
}

export async function detailsOf({ handle }: TestRun): Promise<string> {
  return (await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;
}

/** What the sender of an update that is refused is told. */
export async function refusalOf(update: Promise<unknown>): Promise<string> {
  return update.then(
    () => 'was accepted',
    (error: Error) => (error.cause as Error | undefined)?.message ?? error.message,
  );
}

/** One that is dead and that nobody has asked after yet still has a number. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
