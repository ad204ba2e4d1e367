import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startAppProcess, startDeployer, type AppProcess, type Deployer } from '../support/shop-deployer.js';
import { openShopSchema, type ShopSchema } from '../support/shop-schema.js';
import { until } from '../support/until.js';

let shop: ShopSchema;
const started: AppProcess[] = [];

beforeAll(async () => {
  shop = await openShopSchema();
  await shop.upTo('v2.2.0');
  await shop.databases.orders.query(`insert into products (sku, name, price_cents) values ('SKU-1', 'Lantern', 1200)`);
});
afterEach(async () => {
  await Promise.all(started.splice(0).map(({ process }) => process.stop()));
  expect(await sessions()).toEqual([]);
});
afterAll(() => shop.drop());

/** Of any version of the application, in either database. */
async function sessions(): Promise<string[]> {
  const text = `select application_name from pg_stat_activity where application_name like 'shop %' and datname = any ($1)`;
  const names = [shop.databases.frontend.name, shop.databases.orders.name];
  const rows = await shop.databases.orders.asSuperuser<{ application_name: string }>(text, [names]);
  return rows.map((row) => row.application_name);
}

async function serve(release: string): Promise<AppProcess> {
  const server = await startAppProcess('server', ['--release', release, '--databases', shop.folder]);
  started.push(server);
  return server;
}

async function deployer(): Promise<Deployer> {
  const child = await startDeployer(shop.folder);
  started.push(child);
  return child;
}

async function ask(url: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

const ORDER = { email: 'ada@example.org', name: 'Ada', phone: '+351 21 000004', sku: 'SKU-1', quantity: 2 };

describe('a version of the application', () => {
  test('takes an order and shows it, on the schema of its release', async () => {
    const { url } = await serve('v2.2.0');
    expect(await ask(`${url}/healthz`)).toEqual({ status: 200, body: { release: 'v2.2.0' } });
    const placed = await ask(`${url}/orders`, { ...ORDER, note: 'Ring twice' });
    expect(placed).toMatchObject({ status: 201, body: { release: 'v2.2.0', total_cents: 2400 } });
    expect((await ask(`${url}/orders`)).body).toMatchObject({ rows: [{ customer: 'Ada', note: 'Ring twice' }] });
    expect((await ask(`${url}/customers`)).body).toMatchObject({ rows: [{ name: 'Ada', phone: '+35121000004' }] });
  });

  test('passes on what Postgres says where the schema is that of another release, and is healthy all the same', async () => {
    const { url } = await serve('v3.0.0');
    expect((await ask(`${url}/healthz`)).status).toBe(200);
    expect(await ask(`${url}/orders`)).toEqual({
      status: 500,
      body: { release: 'v3.0.0', error: { code: '42P01', message: 'relation "refunds" does not exist' } },
    });
  });

  test('refuses what it does not know and what it cannot read, and writes nothing', async () => {
    const { url } = await serve('v2.2.0');
    const customers = () => shop.databases.orders.query(`select count(*) from customers`);
    const before = await customers();
    expect((await ask(`${url}/nothing`)).status).toBe(404);
    expect((await ask(`${url}/orders`, { ...ORDER, email: 'eve@example.org', sku: 'SKU-404' })).status).toBe(422);
    expect((await fetch(`${url}/orders`, { method: 'POST', body: '{' })).status).toBe(400);
    expect(await customers()).toEqual(before);
  });
});

describe('the deployer', () => {
  test('starts the version that a stop asks for, stops it before the databases move, and says so each time', async () => {
    const { send, state } = await deployer();
    const first = await send({ hook: 'atStop', release: 'v2.2.0' });
    expect(first).toMatchObject({ status: 202, body: { release: 'v2.2.0' } });
    const { url } = await state();
    expect((await ask(`${url}/orders`)).status).toBe(200);

    expect(await send({ hook: 'before', release: 'v2.2.0' })).toEqual({
      status: 200,
      body: { release: null, url: null },
    });
    expect(await sessions()).toEqual([]);
    const after = await send({ hook: 'after', release: 'v2.2.0' });
    expect(after).toEqual({ status: 200, body: { release: 'v2.2.0', url } });
  });

  test('answers a key that it has answered before in the same words, and does nothing', async () => {
    const { send, state } = await deployer();
    const [first, meanwhile] = await Promise.all([
      send({ hook: 'atStop', release: 'v2.2.0' }, { key: 'msg_1' }),
      send({ hook: 'atStop', release: 'v2.2.0' }, { key: 'msg_1' }),
    ]);
    expect(meanwhile).toEqual(first);
    await send({ hook: 'before' });
    expect(await send({ hook: 'atStop', release: 'v2.2.0' }, { key: 'msg_1' })).toEqual(first);
    expect(await state()).toEqual({ release: null, url: null });
  });

  test.each([
    ['is signed with another secret', { secret: 'whsec_b3RoZXI=' }, 'its signature is wrong'],
    ['has a signature of another length', { signed: 'v1,abcd' }, 'its signature is wrong'],
    ['has a signature of an unknown kind', { signed: 'v2,abcd' }, 'its signature is wrong'],
    ['is ten minutes old', { at: Date.now() - 600_000 }, 'its time stamp is more than 5 minutes away from now'],
    ['comes from the future', { at: Date.now() + 600_000 }, 'its time stamp is more than 5 minutes away from now'],
  ])('refuses a request that %s, and starts nothing', async (_, how, error) => {
    const { send, state } = await deployer();
    expect(await send({ hook: 'atStop', release: 'v2.2.0' }, how)).toEqual({ status: 401, body: { error } });
    expect((await state()).release).toBeNull();
  });

  test('refuses a body that is not the one that was signed, one without a signature, and a hook that it does not know', async () => {
    const { send, state, url } = await deployer();
    const body = JSON.stringify({ hook: 'atStop', release: 'v2.2.0' });
    expect((await fetch(url, { method: 'POST', body })).status).toBe(401);
    expect((await send({ hook: 'atNight', release: 'v2.2.0' })).status).toBe(400);
    expect((await send({ hook: 'atStop' })).status).toBe(400);
    expect((await state()).release).toBeNull();
  });

  test('ends its version with itself, even when it is killed', async () => {
    const { send, process } = await deployer();
    await send({ hook: 'atStop', release: 'v2.2.0' });
    expect(await sessions()).not.toEqual([]);
    process.signal('SIGKILL');
    await until(async () => (await sessions()).length === 0, { describe: 'the application to be gone' });
  });

  // The last: it moves the schema on.
  test('answers 500 with the reason when a version comes up and does not get on with the schema; the same key tries again', async () => {
    const { send, state } = await deployer();
    await send({ hook: 'atStop', release: 'v2.2.0' });
    expect(await send({ hook: 'atStop', release: 'v3.0.0' }, { key: 'msg_3' })).toEqual({
      status: 500,
      body: {
        error:
          'shop v3.0.0 came up, but GET /orders answers 500: ' +
          '{"release":"v3.0.0","error":{"code":"42P01","message":"relation \\"refunds\\" does not exist"}}',
      },
    });
    expect((await state()).release).toBeNull();
    const unknown = await send({ hook: 'atStop', release: 'v9.0.0' });
    expect(unknown).toMatchObject({
      status: 500,
      body: { error: expect.stringContaining('shop v9.0.0 did not start') },
    });

    await shop.upTo('v3.0.0');
    expect((await send({ hook: 'atStop', release: 'v3.0.0' }, { key: 'msg_3' })).status).toBe(202);
  });
});
