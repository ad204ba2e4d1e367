import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { workflowIdOf } from '../../src/contract/ids.js';
import type { Notice } from '../../src/contract/notices.js';
import { openReceiver, type Receiver } from '../support/receiver.js';
import { until } from '../support/until.js';
import { pgUnwind, stop } from './command-line.js';
import { buildParts, openParts } from './hooks-shop.js';

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

const noticesOf = ({ received }: Receiver) => received.map(({ body }) => JSON.parse(body) as Notice);
const untilReceived = (receiver: Receiver, count: number, within = 30_000) =>
  until(() => receiver.received.length === count, {
    describe: `${count} calls`,
    within,
    show: () => noticesOf(receiver),
  });
/** The next down that removes part 3 fails as long as something stands on it. */
const BREAK = 'create view public.in_the_way as select part_3()';
const MEND = 'drop view public.in_the_way';

test('a webhook hears of the park, of the stop and of the end, in this order and each once, and a worker that is killed in between tells with the same key', async () => {
  const receiver = await openReceiver();
  receiver.replies('hang', 200);
  const notify = { webhook: { url: receiver.url, secret: { env: 'HOOK_SECRET' } } };
  const shop = await openParts(parts.folder, { notify }, {}, { heartbeatTimeoutSeconds: 5 });
  await shop.database.query(BREAK);
  const { address, namespace } = inject('temporal');
  const taskQueue = `notify-${randomUUID()}`;
  const file = path.join(parts.folder, `${taskQueue}.yaml`);
  await writeFile(file, stringify({ ...shop.content, temporal: { address, namespace, taskQueue } }));
  const secret = `whsec_${Buffer.from('a key that only the receiver has').toString('base64')}`;
  const startWorker = () => {
    const worker = pgUnwind(['worker', '--config', file], { FRONTEND_URL: shop.database.url, HOOK_SECRET: secret });
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
  await untilReceived(receiver, 1, 60_000);
  process.kill(-(first.process.pid as number), 'SIGKILL');
  await first.ended;
  startWorker();
  await untilReceived(receiver, 2, 60_000);
  await shop.database.query(MEND);
  await handle.executeUpdate('retryStep');
  await untilReceived(receiver, 3);
  await handle.executeUpdate('continue');
  expect(await handle.result()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', warnings: [] });

  const notices = noticesOf(receiver);
  expect(notices.map(({ number, event }) => [number, event])).toEqual([
    [1, 'parked'],
    [1, 'parked'],
    [2, 'atStop'],
    [3, 'completed'],
  ]);
  const keys = receiver.received.map(({ headers }) => headers['idempotency-key']);
  expect(keys[0]).toBe(keys[1]);
  expect(new Set(keys).size).toBe(3);
  expect(keys).toEqual(notices.map(({ idempotencyKey }) => idempotencyKey));
  expect(receiver.received[1]?.headers['webhook-signature']).toMatch(/^v1,/);
  expect(notices[1]).toEqual(notices[0]);
  expect(notices[0]?.parked).toMatchObject({ database: 'frontend', during: 'step', migration: '3' });
  expect(notices[0]?.commands[0]).toMatch(/^temporal workflow update execute .*--name retryStep$/);
  expect(notices[2]).toMatchObject({ release: 'v2.0.0', next: 'v1.0.0', stop: { number: 1, of: 1 } });
});

test('a planning that parks is told too, by a worker that looks the hook up for it', async () => {
  const receiver = await openReceiver();
  const shop = await openParts(parts.folder, { notify: { webhook: { url: receiver.url } } });
  const stranger = [99, 'schema_migrations'];
  await shop.database.query(
    `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
     values (2, $2, $1, true, now(), now(), true)`,
    stranger,
  );
  const run = await shop.down({ via: undefined });
  await untilReceived(receiver, 1);
  expect(noticesOf(receiver)[0]).toMatchObject({ event: 'parked', plan: null, parked: { during: 'plan' } });
  expect((await run.handle.describe()).searchAttributes).toMatchObject({ UnwindState: ['needsOperator'] });
  await shop.database.query('delete from migration_logs where version = $1 and schema = $2', stranger);
  await run.update('retryStep');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  await untilReceived(receiver, 2);
});

test('a receiver that always fails holds up nothing: the run is mended and ends, with a warning', async () => {
  const receiver = await openReceiver();
  receiver.replies(500);
  const shop = await openParts(parts.folder, { notify: { webhook: { url: receiver.url }, attempts: 2 } });
  await shop.database.query(BREAK);
  const run = await shop.down({ via: undefined });
  await run.inState('needsOperator');
  await untilReceived(receiver, 2);
  await shop.database.query(MEND);
  await run.update('retryStep');
  const report = await run.unaided();
  expect(report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(report.warnings).toEqual([expect.stringContaining(`(${receiver.url}) answered 500`)]);
  expect(noticesOf(receiver).map(({ event }) => event)).toEqual(['parked', 'parked', 'completed', 'completed']);
});

test('a command is told on its standard input and in its variables, also of a run that finds nothing to do', async () => {
  const script = path.join(parts.folder, 'told');
  await writeFile(script, '#!/bin/sh\necho "$PG_UNWIND_EVENT: $PG_UNWIND_MESSAGE" >> told.out\ncat > told.json\n', {
    mode: 0o755,
  });
  const shop = await openParts(parts.folder, { notify: { command: ['./told'] } });
  const run = await shop.engine.start('upgrade', { instance: shop.name, to: 'v3.0.0' });
  expect((await run.unaided()).outcome).toBe('alreadyThere');
  expect(await readFile(path.join(parts.folder, 'told.out'), 'utf8')).toBe(
    `completed: ${shop.name} stands at v3.0.0.\n`,
  );
  expect(JSON.parse(await readFile(path.join(parts.folder, 'told.json'), 'utf8'))).toMatchObject({
    hook: 'notify',
    event: 'completed',
    instance: shop.name,
  });
});
