import { ApplicationFailure, WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeGate } from '../support/gate.js';
import type { TestRun } from '../support/engine.js';
import { until } from '../support/until.js';
import { buildLetters, holdUp, LETTERS, openLetters, type LettersShop } from './letters-shop.js';

let catalog: Awaited<ReturnType<typeof buildLetters>>;
beforeAll(async () => {
  catalog = await buildLetters();
});
afterAll(() => catalog.remove());

/** At v2.0.0 data migration 7 may be at either end; an upgrade to it leaves it at 0. */
async function standingAt(release: string): Promise<LettersShop> {
  const shop = await openLetters(catalog);
  expect(await (await shop.go(release, 'up')).unaided()).toMatchObject({ outcome: 'completed' });
  await shop.database.query('truncate witness');
  return shop;
}

const move = (shop: LettersShop, direction: 'forward' | 'reverse', more: object = {}) =>
  shop.engine.start('dataMigration', { instance: shop.name, id: '7', direction, ...more });
const sorted = (what: readonly string[]) => [...what].sort();
const each = (to: string) => sorted(Array.from({ length: LETTERS }, (_, at) => `${to} ${at + 1}`));

async function refusalOf(run: TestRun): Promise<{ type: string | null | undefined; message: string }> {
  const error: unknown = await run.report.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WorkflowFailedError) || !(error.cause instanceof ApplicationFailure)) throw error;
  return { type: error.cause.type, message: error.cause.message };
}

const runs = (shop: LettersShop) =>
  shop.database.query<Record<string, unknown>>(
    'select workflow_id, direction, target, state from pgunwind.run order by planned_at desc limit 1',
  );

test('one data migration goes forward and back on the schema that stands: each row once, no release recorded, its own run in the journal', async () => {
  const shop = await standingAt('v2.0.0');
  const legs = () => shop.database.query('select count(*)::int as n from pgunwind.leg');
  const before = await legs();
  const forward = await move(shop, 'forward', { by: 'eve' });
  expect(forward.workflowId).toBe(`unwind/${shop.name}/data/7`);
  expect(await forward.unaided()).toMatchObject({
    outcome: 'completed',
    direction: 'up',
    from: 'v2.0.0',
    to: 'v2.0.0',
    standsAt: 'v2.0.0',
    stepsDone: 1,
    stepsTotal: 1,
    dataMigration: { id: '7', direction: 'forward', database: 'frontend', rows: LETTERS, progress: 1 },
  });
  expect(sorted(await shop.witnessed())).toEqual(each('upper'));
  expect(await runs(shop)).toEqual([
    { workflow_id: forward.workflowId, direction: 'up', target: 'data migration 7 forward', state: 'completed' },
  ]);

  const again = await (await move(shop, 'forward')).unaided();
  expect(again).toMatchObject({ outcome: 'alreadyThere', dataMigration: { rows: 0, progress: 1 } });

  await shop.database.query('truncate witness');
  expect(await (await move(shop, 'reverse')).unaided()).toMatchObject({
    outcome: 'completed',
    dataMigration: { direction: 'reverse', rows: LETTERS, progress: 0 },
  });
  expect(sorted(await shop.witnessed())).toEqual(each('lower'));
  expect(await legs()).toEqual(before);
  expect(await (await shop.go('v1.0.0', 'down')).unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
});

test('a worker that is replaced in the middle goes on behind the last batch', async () => {
  const shop = await standingAt('v2.0.0');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await move(shop, 'forward');
  await gate.waiter();
  expect(await run.status()).toMatchObject({
    state: 'running',
    data: [{ id: '7', act: 'forward', running: true }],
    dataMigration: { id: '7', direction: 'forward', database: 'frontend' },
  });
  await shop.engine.restart();
  await gate.open();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed' });
  expect(sorted(await shop.witnessed())).toEqual(each('upper'));
});

test('a pause gives the claim back, a resume goes on; an abort leaves what is done, and the next run goes on there', async () => {
  const shop = await standingAt('v2.0.0');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await move(shop, 'forward');
  await gate.waiter();
  await run.update('pause', { by: 'eve' });
  await run.inState('paused');
  const given = () => shop.database.query<{ back: boolean }>('select token is null as back from pgunwind.fence');
  await until(async () => (await given())[0]?.back, { describe: 'the claim to be given back' });
  await run.update('resume');
  await gate.waiter();
  await run.update('abort', { by: 'eve' });
  expect(await run.report).toMatchObject({
    outcome: 'aborted',
    legs: [{ data: { notReached: { frontend: ['7'] } } }],
    decisions: [{ kind: 'pause' }, { kind: 'resume' }, { kind: 'abort', by: 'eve' }],
  });
  expect(await runs(shop)).toMatchObject([{ state: 'aborted' }]);
  await gate.open();
  const next = await (await move(shop, 'forward')).unaided();
  expect(next.outcome).toBe('completed');
  expect(next.dataMigration?.rows).toBeLessThan(LETTERS); // the cursor of the aborted one is inherited
  expect(sorted(await shop.witnessed())).toEqual(each('upper'));
});

test('while it runs a way to another release finds the database claimed, and says by whom; afterwards it goes', async () => {
  const shop = await standingAt('v2.0.0');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const run = await move(shop, 'forward');
  await gate.waiter();
  const way = await shop.go('v1.0.0', 'down');
  const { parked } = await way.inState('needsOperator');
  expect(parked).toMatchObject([{ failure: 'ClaimedByAnother' }]);
  expect(parked[0]?.message).toContain(`the workflow unwind/${shop.name}/data/7 in the namespace`);
  await gate.open();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed' });
  await way.update('retryStep');
  expect(await way.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
});

test('while the instance is being unwound it is refused, and says by which workflow', async () => {
  const shop = await standingAt('v3.0.0');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const way = await shop.go('v1.0.0', 'down');
  await gate.waiter();
  const refused = await refusalOf(await move(shop, 'forward'));
  expect(refused.type).toBe('ClaimedByAnother');
  expect(refused.message).toContain(`unwind/${shop.name} in the namespace`);
  await gate.open();
  expect(await way.unaided()).toMatchObject({ outcome: 'completed' });
});

test('it is refused too while the way of the instance is only planned, or waits for consent: it has claimed nothing yet', async () => {
  const shop = await standingAt('v2.0.0');
  const { client } = shop.engine;
  const way = await client.workflow.start('downgrade', {
    taskQueue: `nobody-polls-${shop.name}`,
    workflowId: `unwind/${shop.name}`,
    args: [{ instance: shop.name, to: 'v1.0.0' }],
  });
  const refused = await refusalOf(await move(shop, 'forward'));
  expect(refused.type).toBe('ClaimedByAnother');
  expect(refused.message).toContain(`by the workflow unwind/${shop.name} in the namespace`);
  await way.terminate();
  expect(await (await move(shop, 'forward')).unaided()).toMatchObject({ outcome: 'completed' });
});

test('one whose workflow is gone keeps its database: a way never takes its run for its own, the same again goes on with it', async () => {
  const shop = await standingAt('v2.0.0');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const gone = await move(shop, 'forward');
  await gate.waiter();
  const { run } = await gone.status();
  await gone.handle.terminate();
  await gate.open();
  const way = await shop.go('v1.0.0', 'down');
  expect((await way.inState('needsOperator')).parked).toMatchObject([{ failure: 'ClaimedByAnother' }]);
  await way.update('abort');
  await way.report;
  const again = await move(shop, 'forward');
  expect(await again.unaided()).toMatchObject({ outcome: 'completed', run, dataMigration: { rows: LETTERS } });
  expect(sorted(await shop.witnessed())).toEqual(each('upper'));
});

test('an operator can take the database over from one that is gone for good', async () => {
  const shop = await standingAt('v2.0.0');
  await holdUp(shop);
  const gate = await closeGate(shop.database, 1);
  const gone = await move(shop, 'forward');
  await gate.waiter();
  await gone.handle.terminate();
  await gate.open();
  const other = { workflowId: `unwind/${shop.name}/data/7-again` };
  const input = { instance: shop.name, id: '7', direction: 'reverse' };
  const refused = await refusalOf(await shop.engine.start('dataMigration', input, other));
  expect(refused.type).toBe('ClaimedByAnother');
  const over = await shop.engine.start('dataMigration', { ...input, takeOver: true }, other);
  expect(await over.unaided()).toMatchObject({
    outcome: expect.stringMatching(/completed|alreadyThere/) as string,
    decisions: [{ kind: 'takeOver' }],
    dataMigration: { progress: 0 },
  });
  expect(await shop.database.query(`select state from pgunwind.run order by planned_at desc limit 2`)).toEqual([
    { state: 'completed' },
    { state: 'superseded' },
  ]);
});

test.each([
  ['below its window', 'v1.0.0', '7', 'DataNotRunnable', /cannot be run at v1\.0\.0.*introduced v2\.0\.0/],
  ['of an id that nobody knows', 'v2.0.0', '8', 'UnknownDataMigration', /no data migration "8"\. Nearest: 7/],
])('one %s is refused with nothing written', async (_, release, id, type, words) => {
  const shop = await standingAt(release);
  const count = () => shop.database.query('select count(*)::int as n from pgunwind.run');
  const before = await count();
  const run = await shop.engine.start('dataMigration', { instance: shop.name, id, direction: 'forward' });
  const refused = await refusalOf(run);
  expect(refused.type).toBe(type);
  expect(refused.message).toMatch(words);
  expect(await count()).toEqual(before);
});
