import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Plan } from '../../src/contract/plan.js';
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

async function untilHeldUp(): Promise<void> {
  const { id: plan } = JSON.parse((await run('plan', instance, '--to', 'v1.3.0', '--json')).out) as Plan;
  expect((await run('downgrade', instance, '--to', 'v1.3.0', '--accept-data-loss', plan)).code).toBe(0);
  const { run: id } = await shop.inState('running');
  const met = `select 1 from pgunwind.failure where sqlstate = '55P03' and run = '${id}'`;
  await until(async () => (await shop.query('insights', met)).length > 0, {
    describe: 'an attempt that met the lock',
    within: 60_000,
  });
}

test('a run whose step is held up by a forgotten session ends when it is aborted, while that session stays', async () => {
  const forgotten = await shop.connect('insights');
  try {
    await forgotten.query('begin; lock table page_views in access share mode');
    await untilHeldUp();
    expect((await run('abort', instance)).code).toBe(0);
    await shop.inState('aborted');
    expect(await shop.query('insights', `select 1 from pg_locks where relation = 'page_views'::regclass`)).toHaveLength(
      1,
    );
  } finally {
    await forgotten.end();
  }
  const steps = `select 1 from pgunwind.step s join pgunwind.run r using (run) where r.direction = 'down' and s.migration like '1726100006%'`;
  expect(await shop.query('insights', steps)).toEqual([]);
}, 180_000);

test('a step that is tried again because of a forgotten session goes on when the run is told to end such sessions', async () => {
  const forgotten = await shop.connect('insights');
  try {
    await forgotten.query('begin; lock table page_views in access share mode');
    await untilHeldUp();
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
    expect(await shop.query('insights', 'select 1 from pgunwind.ended_session')).toHaveLength(1);
  } finally {
    await forgotten.end();
  }
}, 180_000);
