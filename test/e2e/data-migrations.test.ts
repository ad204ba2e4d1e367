import { temporal } from '@temporalio/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeGate } from '../support/gate.js';
import { forbidden, secretsIn } from '../support/kept.js';
import { until } from '../support/until.js';
import { buildLetters, DATA, holdUp, LETTERS, openLetters } from './letters-shop.js';

let catalog: Awaited<ReturnType<typeof buildLetters>>;
beforeAll(async () => {
  catalog = await buildLetters();
});
afterAll(() => catalog.remove());

const { PENDING_ACTIVITY_STATE_PAUSED: PAUSED } = temporal.api.enums.v1.PendingActivityState;

const moved = (to: string) => Array.from({ length: LETTERS }, (_, at) => `${to} ${at + 1}`);
const sorted = (what: readonly string[]) => [...what].sort();

test('up and down again: schema and data move in the one order in which they fit, each row once, and nothing of it is in history', async () => {
  const shop = await openLetters(catalog);
  const up = await shop.go('v3.0.0', 'up');
  expect(await up.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v3.0.0', stepsDone: 4, stepsTotal: 4 });
  const rising = await shop.witnessed();
  expect([rising[0], rising.at(-1)]).toEqual(['2 up', '3 up']);
  expect(sorted(rising.slice(1, -1))).toEqual(sorted(moved('upper')));
  await shop.database.query('truncate witness');

  const down = await shop.go('v1.0.0', 'down');
  expect(await down.unaided()).toMatchObject({
    outcome: 'completed',
    standsAt: 'v1.0.0',
    stepsDone: 3,
    legs: [{ release: 'v2.0.0', data: { done: { frontend: 1 } } }, { release: 'v1.0.0' }],
  });
  const falling = await shop.witnessed();
  expect([falling[0], falling.at(-1)]).toEqual(['3 down', '2 down']);
  expect(sorted(falling.slice(1, -1))).toEqual(sorted(moved('lower')));
  expect(
    await shop.database.query(`select id, act, state, rows::int, progress from pgunwind.data_step order by started_at`),
  ).toEqual([
    { id: '7', act: 'forward', state: 'done', rows: LETTERS, progress: 1 },
    { id: '7', act: 'reverse', state: 'done', rows: LETTERS, progress: 0 },
  ]);
  const secrets = forbidden({
    urls: [shop.database.url],
    scripts: [DATA.slice(DATA.indexOf('sql:'))],
    rows: ['letter 17'],
  });
  expect(secretsIn([await down.history()], secrets)).toEqual([]);
});

test('a worker that is replaced in the middle of the data goes on behind the last batch, and no row is moved twice', async () => {
  const shop = await openLetters(catalog);
  await (await shop.go('v3.0.0', 'up')).unaided();
  await shop.database.query('truncate witness');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await shop.go('v1.0.0', 'down');
  await gate.waiter();
  expect(
    await shop.database.query(`select batches > 0 as begun from pgunwind.data_step where state = 'started'`),
  ).toEqual([{ begun: true }]);
  await shop.engine.restart();
  await gate.open();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  const falling = await shop.witnessed();
  expect(sorted(falling.filter((what) => what.startsWith('lower')))).toEqual(sorted(moved('lower')));
});

test("Temporal's own pause of the activity rolls the batch back and begins no other; its unpause goes on there", async () => {
  const shop = await openLetters(catalog);
  await (await shop.go('v3.0.0', 'up')).unaided();
  await shop.database.query('truncate witness');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await shop.go('v1.0.0', 'down');
  await gate.waiter();
  const { client } = shop.engine;
  const activity = {
    namespace: client.options.namespace,
    execution: { workflowId: run.workflowId },
    id: 'frontend-data-7-reverse',
  };
  await client.workflowService.pauseActivity({ ...activity, identity: 'a person', reason: 'to look at it' });
  const pending = async () => (await run.handle.describe()).raw.pendingActivities?.[0];
  await until(async () => (await pending())?.state === PAUSED, {
    describe: 'the activity to be paused',
    show: pending,
  });
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`;
  await until(async () => (await shop.database.query(waiting)).length === 0, { describe: 'the batch to be ended' });
  await gate.open();
  const held = await shop.witnessed();
  expect((await run.status()).state).toBe('running');
  await client.workflowService.unpauseActivity({ ...activity, identity: 'a person' });
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  const falling = await shop.witnessed();
  expect(falling.length).toBeGreaterThan(held.length);
  expect(sorted(falling.filter((what) => what.startsWith('lower')))).toEqual(sorted(moved('lower')));
});
