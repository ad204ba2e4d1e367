import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import getPort from 'get-port';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { workflowIdOf } from '../../src/contract/ids.js';
import { startDevServer } from '../../src/temporal/dev-server.js';
import { openReceiver } from '../support/receiver.js';
import { until } from '../support/until.js';
import { pgUnwind, stop, type Running } from './command-line.js';
import { buildParts, openParts } from './hooks-shop.js';

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

/** The status, or the code of an error: nobody listens. */
async function ask(address: string, what: string): Promise<number | string> {
  try {
    const response = await fetch(`http://${address}${what}`, { signal: AbortSignal.timeout(10_000) });
    await response.text();
    return response.status;
  } catch (error) {
    return ((error as Error).cause as { code?: string } | undefined)?.code ?? (error as Error).name;
  }
}
const bothOf = async (address: string) => [await ask(address, '/livez'), await ask(address, '/readyz')];
const untilBoth = async (address: string, wanted: readonly (number | string)[], worker: Running) => {
  let seen: unknown;
  await until(async () => (seen = await bothOf(address)) && JSON.stringify(seen) === JSON.stringify(wanted), {
    describe: `/livez and /readyz to say ${wanted.join(' and ')}`,
    within: 90_000,
    show: () => [seen, worker.printed()],
  });
};

/** A worker process with a health address, on this server. */
async function startWorker(
  server: { address: string; namespace: string },
  content: object,
  env: Record<string, string>,
) {
  const taskQueue = `health-${randomUUID()}`;
  const address = `127.0.0.1:${await getPort()}`;
  const file = path.join(parts.folder, `${taskQueue}.yaml`);
  const { address: temporal, namespace } = server;
  await writeFile(
    file,
    stringify({
      ...content,
      temporal: { address: temporal, namespace, taskQueue },
      worker: { healthAddress: address, shutdownGraceSeconds: 60 },
    }),
  );
  const worker = pgUnwind(['worker', '--config', file], env);
  onTestFinished(async () => {
    await stop(worker);
    await rm(file);
  });
  return { worker, address, taskQueue };
}

test('a worker is ready while it polls, lives on while it stops and what runs ends, and then nobody answers', async () => {
  const receiver = await openReceiver();
  receiver.replies('hang');
  const shop = await openParts(parts.folder, { before: { webhook: { url: receiver.url }, timeoutSeconds: 60 } });
  const { worker, address, taskQueue } = await startWorker(inject('temporal'), shop.content, {
    FRONTEND_URL: shop.database.url,
  });
  await untilBoth(address, [200, 200], worker);
  expect(await ask(address, '/metrics')).toBe(404);
  const handle = await shop.engine.client.workflow.start('downgrade', {
    taskQueue,
    workflowId: workflowIdOf(shop.name),
    args: [{ instance: shop.name, to: 'v1.0.0' }],
  });
  await until(() => receiver.received.length === 1, { describe: 'the call of the hook', within: 60_000 });
  process.kill(-(worker.process.pid as number), 'SIGTERM');
  await untilBoth(address, [200, 503], worker);
  await handle.terminate('seen enough');
  await receiver.close();
  await worker.ended;
  expect(await bothOf(address)).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);
});

test('a worker whose Temporal is away lives and is not ready, until it is back', async () => {
  const options = { headless: true, port: await getPort(), dbFilename: path.join(parts.folder, 'temporal.db') };
  const first = await startDevServer(options);
  const { worker, address } = await startWorker(first, {}, {});
  await untilBoth(address, [200, 200], worker);
  await first.stop();
  await untilBoth(address, [200, 503], worker);
  const second = await startDevServer(options);
  onTestFinished(() => second.stop());
  await untilBoth(address, [200, 200], worker);
});

test('an address that is taken is said, and nothing is started', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const file = path.join(parts.folder, 'taken.yaml');
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  await writeFile(file, stringify({ worker: { healthAddress: address } }));
  const { code, out, err } = await pgUnwind(['worker', '--config', file]).ended;
  expect(code).not.toBe(0);
  expect(out + err).toContain(`worker.healthAddress is ${address}, where nobody can listen (EADDRINUSE)`);
});
