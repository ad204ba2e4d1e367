import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { NativeConnection, Worker } from '@temporalio/worker';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { workflowIdOf } from '../../src/contract/ids.js';
import type { HookCall } from '../../src/contract/hooks.js';
import { openReceiver } from '../support/receiver.js';
import { until } from '../support/until.js';
import { pgUnwind, stop } from './command-line.js';
import { buildParts, isAlive, openParts, type PartsShop } from './hooks-shop.js';

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

const untilTaken = (status: () => Promise<{ hook?: { state: string } }>) =>
  until(async () => (await status()).hook?.state === 'waiting', {
    describe: 'the hook to have taken it up',
    within: 30_000,
    show: status,
  });

test('a run whose workflow is gone goes on from the journal: a hook that has answered is not called again', async () => {
  const receiver = await openReceiver();
  receiver.replies(202);
  const webhook = { url: receiver.url };
  const shop = await openParts(parts.folder, { before: { command: ['/bin/true'] }, atStop: { webhook } });
  const lost = await shop.down();
  await untilTaken(() => lost.status());
  const { run: open } = await lost.status();
  await lost.handle.terminate('its history is lost');
  const again = await shop.down();
  await untilTaken(() => again.status());
  expect((await again.status()).run).toBe(open);
  await again.update('continue');
  await until(async () => (await again.status()).state === 'completed', { describe: 'the end', within: 30_000 });
  expect(receiver.received).toHaveLength(1);
  expect(
    await shop.database.query(`select key, hook, answer from pgunwind.hook where run = '${open}' order by answered_at`),
  ).toEqual([
    { key: `${open}-before`, hook: 'before', answer: 'done' },
    { key: `${open}-atStop-1`, hook: 'atStop', answer: 'later' },
  ]);
});

test('a stop that a person has left stays left for a workflow that goes on with the run', async () => {
  const receiver = await openReceiver();
  receiver.replies(202, 503);
  const webhook = { url: receiver.url };
  const shop = await openParts(parts.folder, { atStop: { webhook }, after: { webhook, attempts: 1 } });
  const lost = await shop.down();
  await untilTaken(() => lost.status());
  await lost.update('continue', { by: 'ann' });
  await lost.inState('needsOperator');
  await lost.handle.terminate('its history is lost');
  receiver.replies(200);
  const again = await shop.down();
  expect(await again.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(receiver.received.map(({ body }) => (JSON.parse(body) as HookCall).hook)).toEqual([
    'atStop',
    'after',
    'after',
  ]);
  expect(new Set(receiver.received.slice(1).map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
});

test('a run that is reset to its beginning calls no hook again that has answered', async () => {
  const receiver = await openReceiver();
  receiver.replies(200, 202);
  const webhook = { url: receiver.url };
  const shop = await openParts(parts.folder, { before: { webhook }, atStop: { webhook } });
  const run = await shop.down();
  await untilTaken(() => run.status());
  const { client } = shop.engine;
  const history = await run.handle.fetchHistory();
  const planned = history.events?.find(({ workflowTaskCompletedEventAttributes: done }, at) => done && at > 4);
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId: run.workflowId, runId: (await run.handle.describe()).runId },
    reason: 'hooks',
    workflowTaskFinishEventId: planned?.eventId ?? null,
    requestId: randomUUID(),
  });
  const after = client.workflow.getHandle(run.workflowId);
  await untilTaken(() => after.query('status'));
  await after.executeUpdate('continue');
  expect(await after.result()).toMatchObject({ outcome: 'completed' });
  expect(receiver.received).toHaveLength(2);
});

test('a worker that is killed while its hook runs: the command ends with it, and the next worker calls with the same key', async () => {
  const turn = path.join(parts.folder, 'killed');
  await writeFile(
    turn,
    '#!/bin/sh\necho "$PG_UNWIND_IDEMPOTENCY_KEY $$" >> killed.calls\n[ -e killed.healed ] || exec sleep 600\n',
    { mode: 0o755 },
  );
  const calls = async () => {
    const file = path.join(parts.folder, 'killed.calls');
    return existsSync(file) ? (await readFile(file, 'utf8')).trim().split('\n') : [];
  };
  const shop = await openParts(parts.folder, { atStop: { command: ['./killed'] } }, {}, { heartbeatTimeoutSeconds: 5 });
  const { address, namespace } = inject('temporal');
  const taskQueue = `killed-${randomUUID()}`;
  const file = path.join(parts.folder, 'killed.yaml');
  await writeFile(file, stringify({ ...shop.content, temporal: { address, namespace, taskQueue } }));
  const startWorker = () => {
    const worker = pgUnwind(['worker', '--config', file], { FRONTEND_URL: shop.database.url });
    onTestFinished(async () => {
      if (worker.process.signalCode === null) await stop(worker);
    });
    return worker;
  };
  const first = startWorker();
  const handle = await shop.engine.client.workflow.start('downgrade', {
    taskQueue,
    workflowId: workflowIdOf(shop.name),
    args: [{ instance: shop.name, to: 'v1.0.0', via: ['v2.0.0'] }],
  });
  await until(async () => (await calls()).length === 1, {
    describe: 'the first call',
    within: 60_000,
    show: () => first.printed(),
  });
  process.kill(-(first.process.pid as number), 'SIGKILL');
  await first.ended;
  const pid = Number((await calls())[0]?.split(' ')[1]);
  await until(() => !isAlive(pid), {
    describe: 'the command to be ended',
    within: 20_000,
  });
  await writeFile(path.join(parts.folder, 'killed.healed'), '');
  startWorker();
  expect(await handle.result()).toMatchObject({ outcome: 'completed' });
  const keys = (await calls()).map((line) => line.split(' ')[0]);
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
});

test('a hook cannot start a run of its own instance: neither under its workflow id, nor under another, nor by the command line', async () => {
  const receiver = await openReceiver();
  receiver.replies(202);
  const shop = await openParts(parts.folder, { atStop: { webhook: { url: receiver.url } } });
  const run = await shop.down();
  await untilTaken(() => run.status());
  await expect(shop.down()).rejects.toThrow(/already/i);

  const rival = await shop.engine.start(
    'upgrade',
    { instance: shop.name, to: 'v3.0.0' },
    { workflowId: `unwind/rival-${shop.name}` },
  );
  const { parked } = await rival.inState('needsOperator');
  expect(parked).toMatchObject([{ during: 'claim', failure: 'ClaimedByAnother' }]);
  expect(parked[0]?.message).toContain(run.workflowId);
  await rival.update('abort');
  await rival.report;

  const file = path.join(parts.folder, 'rival.yaml');
  const { address, namespace } = inject('temporal');
  await writeFile(file, stringify({ ...shop.content, temporal: { address, namespace } }));
  const { code, err } = await pgUnwind(['upgrade', shop.name, '--to', 'v3.0.0', '--config', file], {
    FRONTEND_URL: shop.database.url,
  }).ended;
  expect(code).not.toBe(0);
  const open = `A run of ${shop.name} is open, and there is one at a time: downgrade to v1.0.0 (${run.workflowId})`;
  expect(err).toContain(open);

  await run.update('continue');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(receiver.received).toHaveLength(1);
});

test("an activity of the operator's is called with the document, may answer later, and parks where it fails for good", async () => {
  const taskQueue = `deployments-${randomUUID()}`;
  const shop = await openParts(parts.folder, {
    before: { activity: { taskQueue, type: 'stopServices' } },
    atStop: { activity: { taskQueue, type: 'turn' } },
    after: { activity: { taskQueue, type: 'startServices' }, attempts: 1 },
  });
  const calls: HookCall[] = [];
  let healed = false;
  await theirWorker(taskQueue, {
    stopServices: async (call: HookCall) => void calls.push(call),
    turn: async (call: HookCall) => {
      calls.push(call);
      return { answer: 'later' };
    },
    startServices: async (call: HookCall) => {
      calls.push(call);
      if (!healed) throw ApplicationFailure.create({ type: 'NoCapacity', message: 'no room for the pods' });
      return 'started';
    },
  });
  const run = await shop.down();
  await untilTaken(() => run.status());
  await run.update('continue');
  const { parked } = await run.inState('needsOperator');
  expect(parked).toMatchObject([{ during: 'hook', failure: 'HookFailed' }]);
  expect(parked[0]?.message).toContain('no room for the pods');
  healed = true;
  await run.update('retryStep');
  const report = await run.unaided();
  expect(report.outcome).toBe('completed');
  expect(calls.map(({ hook, release, idempotencyKey }) => [hook, release, idempotencyKey])).toEqual([
    ['before', 'v3.0.0', `${report.run}-before`],
    ['atStop', 'v2.0.0', `${report.run}-atStop-1`],
    ['after', 'v1.0.0', `${report.run}-after`],
    ['after', 'v1.0.0', `${report.run}-after`],
  ]);
  expect(await answersOf(shop)).toEqual(['before done', 'atStop later', 'after done']);
});

test('an activity whose queue nobody polls is said to be so, and the run goes on once a worker is there', async () => {
  const taskQueue = `nobody-${randomUUID()}`;
  const shop = await openParts(
    parts.folder,
    { before: { activity: { taskQueue, type: 'stopServices' } } },
    {},
    { workerWaitSeconds: 1 },
  );
  const run = await shop.down({ via: ['v1.0.0'] });
  const { parked } = await run.inState('needsOperator');
  expect(parked).toMatchObject([{ during: 'hook', failure: 'HandlerUnavailable' }]);
  expect(parked[0]?.message).toContain(`Nobody polls the task queue "${taskQueue}"`);
  await theirWorker(taskQueue, { stopServices: async () => undefined });
  await run.update('retryStep');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed' });
});

async function theirWorker(taskQueue: string, activities: object): Promise<void> {
  const { address, namespace } = inject('temporal');
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({ connection, namespace, taskQueue, activities });
  const running = worker.run();
  onTestFinished(async () => {
    worker.shutdown();
    await running;
    await connection.close();
  });
}

async function answersOf({ database }: PartsShop): Promise<string[]> {
  const rows = await database.query<{ said: string }>(
    `select hook || ' ' || answer as said from pgunwind.hook order by answered_at`,
  );
  return rows.map(({ said }) => said);
}
