import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withClient } from '../support/postgres.js';
import { repository } from '../support/shared.js';
import { openShopSchema, type ShopSchema } from '../support/shop-schema.js';

interface Query {
  readonly database: 'frontend' | 'orders';
  readonly text: string;
  readonly values?: readonly string[];
}
interface Application {
  readonly RELEASES: Readonly<Record<string, unknown>>;
  queriesOf(release: unknown): Readonly<Record<string, Query>>;
}

const { RELEASES, queriesOf } = (await import(
  pathToFileURL(path.join(repository, 'examples', 'shop', 'app', 'queries.mjs')).href
)) as Application;

const ORDER: Readonly<Record<string, unknown>> = {
  email: 'ada@example.org',
  name: 'Ada',
  phone: '+351 21 000004',
  sku: 'SKU-1',
  quantity: 2,
  note: 'Ring twice',
};

let shop: ShopSchema;
beforeAll(async () => {
  shop = await openShopSchema();
});
afterAll(() => shop.drop());

/** What fails, by request; `{}` where the version gets on with schema and data. Nothing that it writes stays. */
async function failuresOf(version: string): Promise<Record<string, string>> {
  const failures: Record<string, string> = {};
  for (const [request, { database, text, values = [] }] of Object.entries(queriesOf(RELEASES[version]))) {
    const given = values.map((name) => ORDER[name]);
    const failure = await withClient(shop.databases[database].url, async (client) => {
      await client.query('begin');
      const failed = await client.query(text, given).then(
        ({ rowCount }) => ((rowCount ?? 0) > 0 || request === 'GET /sites' ? null : 'no row'),
        (error: pg.DatabaseError) => `${error.code} ${error.message}`,
      );
      await client.query('rollback');
      return failed;
    });
    if (failure !== null) failures[request] = failure;
  }
  return failures;
}

const noColumn = (name: string) => `42703 column ${name} does not exist`;
const noColumnOf = (table: string, name: string) => `42703 column "${name}" of relation "${table}" does not exist`;
const noTable = (name: string) => `42P01 relation "${name}" does not exist`;

test('each version of the shop answers on its own release, and fails by its own queries on the schema or data of its neighbours at a stop', async () => {
  await shop.upTo('v1.0.0');
  await shop.databases.orders.query(
    `insert into products (sku, name, price_cents) values ('SKU-1', 'Lantern', 1200);
     insert into customers (email, name, phone) values ('bo@example.org', 'Bo', '+351 21 000008');
     insert into orders (customer_id) values (1)`,
  );
  const failures: Record<string, Record<string, Record<string, string>>> = {};
  for (const schema of shop.releases) {
    await shop.upTo(schema);
    failures[schema] = {};
    for (const version of shop.releases) failures[schema][version] = await failuresOf(version);
  }

  for (const release of shop.releases) expect(failures[release]?.[release], release).toEqual({});

  // The turns of the demo, each from both sides.
  expect(failures['v3.0.0']?.['v2.2.0']).toEqual({
    'GET /orders': noTable('order_notes'),
    'POST /orders': noTable('order_notes'),
  });
  expect(failures['v2.2.0']?.['v3.0.0']).toEqual({ 'GET /orders': noTable('refunds') });
  expect(failures['v2.2.0']?.['v2.0.0']).toEqual({
    'GET /customers': '22P02 invalid input syntax for type integer: ""',
  });
  expect(failures['v2.0.0']?.['v2.2.0']).toEqual({
    'GET /orders': noColumn('o.number'),
    'POST /orders': noColumnOf('orders', 'channel'),
  });
  expect(failures['v2.0.0']?.['v1.0.0']).toEqual({ 'GET /sites': noColumn('"legacy_theme"') });
  expect(failures['v1.0.0']?.['v2.0.0']).toEqual({
    'GET /orders': noColumn('o.currency'),
    'POST /orders': noColumnOf('orders', 'currency'),
  });
  // What only adds does no harm to an older version.
  expect(failures['v1.3.0']?.['v1.0.0']).toEqual({});
});

test('two labels of one release ask the same', () => {
  expect(RELEASES['v1.2.1']).toEqual(RELEASES['v1.2.0']);
});
