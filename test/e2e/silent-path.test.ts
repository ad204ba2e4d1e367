import { CancelledFailure } from '@temporalio/common';
import { expect, onTestFinished, test } from 'vitest';
import { serverUrl } from '../support/postgres.js';
import { until } from '../support/until.js';
import { startProxy } from '../support/wire-proxy.js';
import { oddShops } from './odd-shop.js';

// The path to the database swallows what is sent, without a word, while the run's last look describes the schema.

const shops = oddShops();

async function silentWhileVerifying() {
  const path = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
  onTestFinished(() => path.close());
  const it = await shops.open();
  onTestFinished(() => path.cut()); // before the shop looks for what was left: the server keeps such sessions for a while
  it.env['FRONTEND_URL'] = path.url(it.database.url);
  let seen = 0;
  const last = path.hold({
    database: it.database.name,
    // The first description is that of the plan, before anything is done.
    when: ({ side, text }) => side === 'client' && text.includes('fingerprint.objects') && (seen += 1) > 1,
  });
  const run = await it.start();
  await until(() => last.isReached(), { describe: 'the description of the schema at the end', within: 60_000 });
  path.silence();
  return { it, run };
}

test('is found out within seconds, and the look is repeated over another connection', async () => {
  const { it, run } = await silentWhileVerifying();
  const began = performance.now();
  await it.expectEnd(run);
  expect(performance.now() - began).toBeLessThan(30_000);
});

test('while a step reads its script is found out within seconds too', async () => {
  const path = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
  onTestFinished(() => path.close());
  const it = await shops.open();
  onTestFinished(() => path.cut());
  it.env['FRONTEND_URL'] = path.url(it.database.url);
  const reading = path.hold({
    database: it.database.name,
    when: ({ side, text }) => side === 'client' && text.includes('plans.read-scripts'),
  });
  const run = await it.start();
  await until(() => reading.isReached(), { describe: 'the first step to ask for its script', within: 60_000 });
  path.silence();
  const began = performance.now();
  await it.expectEnd(run);
  expect(performance.now() - began).toBeLessThan(30_000);
});

test('holds up no cancel of the workflow', async () => {
  const { run } = await silentWhileVerifying();
  const began = performance.now();
  await run.handle.cancel();
  await expect(run.report).rejects.toMatchObject({ cause: expect.any(CancelledFailure) });
  expect(performance.now() - began).toBeLessThan(20_000);
});
