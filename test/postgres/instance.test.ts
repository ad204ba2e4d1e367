import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { FailureType } from '../../src/contract/errors.js';
import { createInstances } from '../../src/instance/instances.js';
import { surveyAll } from '../../src/instance/planning.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase();
});
afterEach(() => database.drop());

test('two databases of an instance that are one and the same are refused', async () => {
  const config = parseConfig(
    `products:
  shop:
    catalog: ./none
    ledger: { kind: sourcegraph }
    databases: { frontend: { ledgerKey: schema_migrations }, orders: { ledgerKey: orders_schema_migrations } }
instances:
  acme: { product: shop, databases: { frontend: { url: { env: FRONTEND } }, orders: { url: { env: ORDERS } } } }`,
    'pg-unwind.yaml',
  );
  const instances = createInstances({ config, env: { FRONTEND: database.url, ORDERS: database.superuserUrl } });
  try {
    await expect(surveyAll(instances.open('acme'), 'up')).rejects.toMatchObject({
      type: FailureType.InvalidConfig,
      message: expect.stringContaining('"frontend" and "orders" of the instance "acme" are one and the same'),
    });
  } finally {
    await instances.close();
  }
});
