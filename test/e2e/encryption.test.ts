import { randomBytes } from 'node:crypto';
import { Connection } from '@temporalio/client';
import getPort from 'get-port';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { workflowIdOf } from '../../src/contract/ids.js';
import type { StatusReport } from '../../src/contract/messages.js';
import { openClusterShop, type ClusterShop } from '../cluster/cluster-shop.js';
import { textsOf } from '../support/kept.js';
import { until, untilSeen } from '../support/until.js';
import { pgUnwind, stop, type Running } from './command-line.js';

const mark = randomBytes(4).toString('hex');
const instance = `encrypted-${mark}`;
const MARKER = `eve-${randomBytes(8).toString('hex')}`;
const KEYS = { OLD_KEY: randomBytes(32).toString('base64'), NEW_KEY: randomBytes(32).toString('base64') };
const old = { id: 'spring', secret: { env: 'OLD_KEY' } };
const fresh = { id: 'autumn', secret: { env: 'NEW_KEY' } };

let shop: ClusterShop;
let connection: Connection;
let codec: Running;
let endpoint: readonly string[];

const temporalWith = (...keys: object[]) => ({
  ...inject('temporal'),
  taskQueue: instance,
  ...(keys.length === 0 ? {} : { encryption: { keys } }),
});
const run = ['--workflow-id', workflowIdOf(instance)];

beforeAll(async () => {
  const { address, namespace } = inject('temporal');
  const env = { ...KEYS, TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace };
  shop = await openClusterShop({ instance, temporal: temporalWith(fresh, old), env });
  connection = await Connection.connect({ address });
  const port = await getPort({ host: '127.0.0.1' });
  endpoint = ['--codec-endpoint', `http://127.0.0.1:${port}`];
  codec = pgUnwind(['codec-server', '--listen', `127.0.0.1:${port}`, '--config', shop.configFile], env);
  await until(() => codec.printed().includes('Decrypting at'), {
    within: 60_000,
    describe: 'the codec server',
    show: () => codec.printed(),
  });
  await shop.configure(temporalWith(old));
}, 240_000);

afterAll(async () => {
  if (codec) await stop(codec);
  await connection?.close();
  await shop?.close();
});

/** All that Temporal keeps of the run, as it keeps it. */
async function kept(): Promise<string> {
  const execution = { workflowId: workflowIdOf(instance) };
  const { namespace } = inject('temporal');
  const [history, described] = await Promise.all([
    connection.workflowService.getWorkflowExecutionHistory({ namespace, execution }),
    connection.workflowService.describeWorkflowExecution({ namespace, execution }),
  ]);
  return [...textsOf(history), ...textsOf(described)].join('\n');
}

async function done(...words: string[]): Promise<string> {
  const ended = await shop.pgUnwind(...words);
  expect(ended, ended.err).toMatchObject({ code: 0 });
  return ended.out;
}

async function statusOf(): Promise<StatusReport> {
  const { out, err } = await shop.pgUnwind('status', instance, '--json');
  if (out === '') throw new Error(err);
  return JSON.parse(out) as StatusReport;
}

const waits = () =>
  untilSeen(statusOf, ({ state }) => state === 'awaitingApproval', {
    within: 60_000,
    every: 200,
    describe: 'the run to wait for consent',
  });

const update = (name: string, input: object, ...more: string[]) =>
  shop.temporal('workflow', 'update', 'execute', ...run, '--name', name, '--input', JSON.stringify(input), ...more);

describe('with temporal.encryption', () => {
  test('Temporal keeps nothing readable of a run, which goes on through a change of keys', async () => {
    const first = await shop.worker('first');
    await done('upgrade', instance, '--to', shop.newest, '--by', MARKER);
    const { plan } = await waits();
    const query = ['workflow', 'query', ...run, '--name', 'status', '--output', 'json'];
    expect(await shop.temporal(...query)).not.toContain('awaitingApproval');
    expect(await shop.temporal(...query, ...endpoint)).toContain('"state": "awaitingApproval"');
    expect(await shop.temporal('workflow', 'metadata', ...run, ...endpoint)).toContain('awaitingApproval');
    await first.terminate();

    await shop.configure(temporalWith(fresh, old));
    const second = await shop.worker('second');
    expect(await update('approve', { plan, by: 'eve', why: 'in plain JSON' }, ...endpoint)).toContain('in plain JSON');
    await done('watch', instance);
    const report = await shop.temporal('workflow', 'result', ...run, ...endpoint);
    expect(report).toContain(shop.newest);
    await second.terminate();

    const all = await kept();
    expect(all).toContain('spring');
    expect(all).toContain('autumn');
    expect(all).not.toContain(MARKER);
    expect(all).not.toContain('acceptDataLoss');
    expect(all).not.toContain('stepsDone'); // of the report and of the status
    const shown = await shop.temporal('workflow', 'show', ...run, ...endpoint, '--output', 'json');
    expect(textsOf(JSON.parse(shown))).toContain(MARKER);
  });

  test('a start in plain JSON is understood, and why it failed is for those who have the key', async () => {
    const worker = await shop.worker('plain');
    const input = JSON.stringify({ instance, to: 'v9.9.9' });
    const start = ['workflow', 'execute', '--type', 'downgrade', ...run, '--task-queue', instance, '--input', input];
    await expect(shop.temporal(...start)).rejects.toThrow('workflow failed');
    const all = await kept();
    expect(all).toContain('Encoded failure');
    expect(all).not.toContain('Nearest');
    const { err } = await shop.pgUnwind('status', instance);
    expect(err).toContain('v9.9.9');
    expect(err).toContain('Nearest');
    await worker.terminate();
  });

  test('who lacks the key is told so, and the run waits', async () => {
    await shop.configure(temporalWith(old));
    const worker = await shop.worker('right');
    await done('downgrade', instance, '--to', shop.oldest);
    await waits();

    await shop.configure(temporalWith());
    const without = await shop.pgUnwind('status', instance);
    expect(without).toMatchObject({ code: 2 });
    expect(without.err).toContain('is encrypted with the key "spring", and that key is not here (none is configured)');
    expect(without.err).toContain('Give this process the key under temporal.encryption.keys');
    const wrong = temporalWith({ ...old, secret: { env: 'NEW_KEY' } });
    await shop.configure(wrong);
    const other = await shop.pgUnwind('status', instance);
    expect(other.err).toContain('the key of that name here does not open it');
    await shop.configure(temporalWith({ ...old, secret: { env: 'NOT_SET' } }));
    const unset = await shop.pgUnwind('worker');
    expect(unset).toMatchObject({ code: 2 });
    expect(unset.err).toContain('environment variable NOT_SET is not set');

    await worker.terminate();
    await shop.configure(wrong);
    const mistaken = await shop.worker('mistaken');
    await shop.configure(temporalWith(old));
    expect(await shop.pgUnwind('status', instance)).toMatchObject({ code: 3 }); // nobody can answer
    await until(() => mistaken.log().some((line) => line.includes('does not open it')), {
      within: 30_000,
      describe: 'the worker to say what is wrong',
      show: () => mistaken.log().slice(-3),
    });
    await mistaken.terminate();
    const mended = await shop.worker('mended');
    expect(await waits()).toMatchObject({ parked: [] });
    await done('abort', instance);
    await mended.terminate();
  });
});
