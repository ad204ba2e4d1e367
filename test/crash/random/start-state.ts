import type pg from 'pg';
import { sourcegraphLedger } from '../../../src/journal/ledgers/sourcegraph.js';
import { readFingerprint } from '../../../src/postgres/fingerprint.js';
import { createDatabase, withClient, type TestDatabase } from '../../support/postgres.js';
import { appliedAtStart, idsOf, type Case, type Database, type Migration } from './case.js';
import { ledgerOf } from './product.js';
import { EVENT_TRIGGERS, scriptOf, WITNESS } from './scripts.js';

/** A database of the instance as the product has left it, and what it must look like at the end. */
export interface Standing {
  readonly model: Database;
  readonly database: TestDatabase;
  /** Of the schema at the target, by the ups of the target's migrations alone. */
  readonly wanted: Readonly<Record<string, string>>;
}

/** Applies the ups by hand, release by release, and describes the schema where the target's set stands. */
export async function standUp(test: Case, model: Database): Promise<Standing> {
  const database = await createDatabase();
  const applied = new Set(appliedAtStart(test, model));
  const target = new Set(idsOf(model, test.target));
  if (test.direction === 'up') {
    const reference = await createDatabase();
    try {
      const wanted = await withClient(reference.url, async (client) => {
        await client.query(WITNESS);
        for (const each of model.migrations) if (target.has(each.id)) await applyUp(client, each);
        return schemaOf(client);
      });
      await withClient(database.url, (client) => fill(client, model, applied));
      await finish(database);
      return { model, database, wanted };
    } finally {
      await reference.drop();
    }
  }
  const wanted = await withClient(database.url, (client) => fill(client, model, applied, target));
  await finish(database);
  return { model, database, wanted: wanted ?? {} };
}

/** @returns the schema where `until` stood, if that was asked for. */
async function fill(
  client: pg.Client,
  model: Database,
  applied: ReadonlySet<number>,
  until?: ReadonlySet<number>,
): Promise<Record<string, string> | null> {
  await client.query(WITNESS);
  await sourcegraphLedger.create(client, ledgerOf(model));
  const [first, later] = [
    model.migrations.filter(({ id }) => applied.has(id) && (until?.has(id) ?? true)),
    model.migrations.filter(({ id }) => applied.has(id) && !(until?.has(id) ?? true)),
  ];
  for (const each of first) await applyUp(client, each);
  const seen = until === undefined ? null : await schemaOf(client);
  for (const each of later) await applyUp(client, each);
  await client.query('truncate witness');
  for (const { id } of [...first, ...later]) await client.query(LEDGER_ROW, [ledgerOf(model).key, id]);
  return seen;
}

const LEDGER_ROW = `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
values (2, $1, $2, true, clock_timestamp(), clock_timestamp(), true)`;

async function finish(database: TestDatabase): Promise<void> {
  await database.asSuperuser(EVENT_TRIGGERS);
}

async function applyUp(client: pg.Client, migration: Migration): Promise<void> {
  // No naps: nobody watches.
  for (const { kind, statements } of scriptOf({ ...migration, sleepMs: 0 }, 'up').segments) {
    if (kind === 'alone') for (const statement of statements) await client.query(statement);
    else await client.query(['begin', ...statements, 'commit'].join(';\n'));
  }
}

/** Columns of the shared table come and go with the branches: their order is the way's, not the release's. */
const NOT_COMPARED = 'columnOrder public.base';

export async function schemaOf(client: pg.Client): Promise<Record<string, string>> {
  const { objects } = await readFingerprint(client, { ignore: ['migration_logs'] });
  return Object.fromEntries(Object.entries(objects).filter(([key]) => key !== NOT_COMPARED));
}
