import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { writeCatalog } from '../../src/catalog/store.js';
import { openTestEngine, type TestEngine, type TestRun } from '../support/engine.js';
import { createDatabase, expectNoLeaks, type TestDatabase } from '../support/postgres.js';
import { inFolder, migration, write, type Files } from '../unit/catalog/sources.js';

// From v1.0.0 to v3.0.0 and back: letters in capitals belong to v2.0.0 and later; v3.0.0 demands them by a constraint, v1.0.0 forbids
// them by another. So schema and data have one order in which they fit, and every other fails.

/** Three batches. */
export const LETTERS = 3_000;

const MOVE = (from: string, to: string) => `
          with batch as (
            select id from letters where id > coalesce($2::bigint, 0) order by id limit $1
          ), moved as (
            update letters l set text = ${to}(l.text) from batch b where l.id = b.id and l.text = ${from}(l.text) returning l.id
          ), seen as (
            insert into witness (what) select '${to} ' || id from moved returning 1
          )
          select (select count(*) from seen) as rows, (select max(id) from batch) as cursor`;

export const DATA = `dataMigrations:
  - id: 7
    database: frontend
    description: Letters in capitals
    introduced: v2.0.0
    deprecated: v3.0.0
    sql:
      progress: select coalesce(avg((text = upper(text))::integer), 1) from letters
      forward: |${MOVE('lower', 'upper')}
      reverse: |${MOVE('upper', 'lower')}
      verify:
        forward: select not exists (select from letters where text <> upper(text))
        reverse: select not exists (select from letters where text <> lower(text))
`;

const FIRST = migration('1_letters', [], {
  up: `create table letters (id bigint primary key, text text not null, constraint small check (text = lower(text)));
    create table witness (n serial, what text);
    insert into letters select n, 'letter ' || n from generate_series(1, ${LETTERS}) n;`,
  down: 'drop table witness; drop table letters;',
});
const SECOND = migration('2_both', [1], {
  up: `alter table letters drop constraint small; insert into witness (what) values ('2 up');`,
  down: `alter table letters add constraint small check (text = lower(text)); insert into witness (what) values ('2 down');`,
});
const THIRD = migration('3_capitals', [2], {
  up: `alter table letters add constraint large check (text = upper(text)); insert into witness (what) values ('3 up');`,
  down: `alter table letters drop constraint large; insert into witness (what) values ('3 down');`,
});
const withData = (files: Files): Files => ({ ...files, 'data-migrations.yaml': DATA });
const RELEASES: Readonly<Record<string, Files>> = {
  'v1.0.0': inFolder('frontend', FIRST),
  'v2.0.0': withData(inFolder('frontend', FIRST, SECOND)),
  'v3.0.0': withData(inFolder('frontend', FIRST, SECOND, THIRD)),
};

/** The catalog of the product, in a folder of its own. */
export async function buildLetters(
  releases: Readonly<Record<string, Files>> = RELEASES,
): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-data-'));
  const source = path.join(folder, 'sources');
  for (const [label, files] of Object.entries(releases)) write(path.join(source, label), files);
  // v2.0.0 cannot name a label that comes later; each release's own file is checked against all.
  await writeCatalog(path.join(folder, 'shop'), await buildCatalog({ product: 'shop', format: 'sourcegraph', source }));
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

export interface LettersShop {
  readonly name: string;
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  go(to: string, direction: 'down' | 'up'): Promise<TestRun>;
  witnessed(): Promise<readonly string[]>;
}

/** An instance of it whose database is empty. @param options of the instance, as YAML in one line. */
export async function openLetters({ folder }: { folder: string }, options = '{}'): Promise<LettersShop> {
  const name = `data-${randomUUID().slice(0, 8)}`;
  const database = await createDatabase();
  const config = `
products:
  shop: { catalog: ./shop, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  ${name}: { product: shop, databases: { frontend: { url: { env: FRONTEND_URL } } }, options: ${options} }
`;
  const engine = await openTestEngine({ config, folder, env: { FRONTEND_URL: database.url } });
  onTestFinished(async () => {
    await engine.close();
    await expectNoLeaks(database);
    await database.drop();
  });
  return {
    name,
    database,
    engine,
    async go(to, direction) {
      const { plan } = await engine.plan({ instance: name, to, direction });
      return engine.start(direction === 'down' ? 'downgrade' : 'upgrade', {
        instance: name,
        to,
        acceptDataLoss: plan.id,
      });
    },
    witnessed: async () =>
      (await database.query<{ what: string }>('select what from witness order by n')).map(({ what }) => what),
  };
}

const PERFORM_WAIT = `perform set_config('lock_timeout', '0', true); perform pg_advisory_xact_lock(77, 1);`; // as waitAt(1)

/** A row that waits at a gate holds the batches up where we want them: behind the first. */
export async function holdUp(shop: LettersShop): Promise<void> {
  await shop.database.query(`
    create function gate() returns trigger language plpgsql as $$ begin ${PERFORM_WAIT} return new; end $$;
    create trigger gate before update on letters for each row when (new.id = ${LETTERS - 100}) execute function gate()`);
}
