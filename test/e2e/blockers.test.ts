import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { until } from '../support/until.js';
import { pgUnwind, type Ended } from './command-line.js';
import { openExampleShop, type ExampleShop } from './example-shop.js';

const instance = `blocked-${randomBytes(4).toString('hex')}`;
let shop: ExampleShop;

const run = (...words: string[]): Promise<Ended> => pgUnwind(words, { PG_UNWIND_CONFIG: shop.configFile }).ended;

beforeAll(async () => {
  shop = await openExampleShop({ instance, at: 'v2.0.0', temporal: { ...inject('temporal'), taskQueue: instance } });
}, 240_000);
afterAll(() => shop?.close());

test('a step that is tried again because of a forgotten session goes on when the run is told to end such sessions', async () => {
  const forgotten = await shop.connect('orders');
  try {
    await forgotten.query('begin; lock table orders in access share mode');
    expect((await run('downgrade', instance, '--to', 'v1.3.0')).code).toBe(0);
    const { plan } = await shop.inState('awaitingApproval');
    expect((await run('approve', instance, '--plan', plan ?? '')).code).toBe(0);
    await until(
      async () => (await shop.query('orders', `select 1 from pgunwind.failure where sqlstate = '55P03'`)).length > 0,
      { describe: 'an attempt that met the lock', within: 60_000 },
    );
    expect((await run('status', instance)).out).toMatch(/ ↳ .* held up by .*idle in transaction/);
    expect((await run('set-options', instance, '--set', '{"blockers":"terminateIdle"}')).code).toBe(0);
    const ended = await until(
      async () => {
        const status = await run('status', instance);
        return /stands at v1\.3\.0: \d+ of \d+ steps done/.test(status.out) && status;
      },
      { describe: 'the run to end', within: 60_000 },
    );
    expect(ended.code).toBe(0);
    expect(await shop.query('orders', 'select 1 from pgunwind.ended_session')).toHaveLength(1);
  } finally {
    await forgotten.end();
  }
}, 180_000);
