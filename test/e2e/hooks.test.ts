import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openReceiver } from '../support/receiver.js';
import { repository } from '../support/shared.js';
import { buildParts, openParts } from './hooks-shop.js';

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

const KEY = Buffer.from('a key that only the receiver has');
const SECRET = `whsec_${KEY.toString('base64')}`;

test('a webhook is called before the first step, at the stop and behind the last, signed, and the run goes on by itself', async () => {
  const receiver = await openReceiver();
  const webhook = { url: `${receiver.url}/turn`, secret: { env: 'HOOK_SECRET' } };
  const shop = await openParts(
    parts.folder,
    { before: { webhook }, atStop: { webhook }, after: { webhook } },
    { HOOK_SECRET: SECRET },
  );
  const run = await shop.down();
  const report = await run.unaided();
  expect(report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', stepsDone: 2, decisions: [] });

  const calls = receiver.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
  const [, example = ''] =
    /^```json\n([^]*?)^```$/m.exec(await readFile(path.join(repository, 'docs/in-turns.md'), 'utf8')) ?? [];
  expect(
    calls.map((call) => Object.keys(call)),
    'as docs/in-turns.md shows it',
  ).toEqual(calls.map(() => Object.keys(JSON.parse(example) as object)));
  const same = {
    version: 1,
    instance: shop.name,
    workflowId: run.workflowId,
    run: report.run,
    plan: report.plan,
    direction: 'down',
    from: 'v3.0.0',
    to: 'v1.0.0',
    legs: 2,
  };
  expect(calls).toEqual([
    {
      ...same,
      namespace: expect.any(String),
      hook: 'before',
      release: 'v3.0.0',
      next: 'v2.0.0',
      leg: null,
      stop: null,
      releasesLeft: ['v2.0.0', 'v1.0.0'],
      idempotencyKey: `${report.run}-before`,
      result: null,
    },
    {
      ...same,
      namespace: expect.any(String),
      hook: 'atStop',
      release: 'v2.0.0',
      next: 'v1.0.0',
      leg: 1,
      stop: { number: 1, of: 1 },
      releasesLeft: ['v1.0.0'],
      idempotencyKey: `${report.run}-atStop-1`,
      result: null,
    },
    {
      ...same,
      namespace: expect.any(String),
      hook: 'after',
      release: 'v1.0.0',
      next: null,
      leg: 2,
      stop: null,
      releasesLeft: [],
      idempotencyKey: `${report.run}-after`,
      result: { outcome: 'completed', stepsDone: 2, stepsTotal: 2, warnings: report.warnings.length, drift: 0 },
    },
  ]);
  for (const { method, url, headers, body, at } of receiver.received) {
    expect([method, url, headers['content-type']]).toEqual(['POST', '/turn', 'application/json']);
    const id = headers['webhook-id'] as string;
    const timestamp = headers['webhook-timestamp'] as string;
    expect(id).toBe((JSON.parse(body) as { idempotencyKey: string }).idempotencyKey);
    expect(headers['idempotency-key']).toBe(id);
    expect(Math.abs(Number(timestamp) * 1_000 - at)).toBeLessThan(5_000);
    const expected = createHmac('sha256', KEY).update(`${id}.${timestamp}.`).update(body).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${expected}`);
  }
  const history = await run.history();
  expect(history).not.toContain(receiver.url);
  expect(history).not.toContain(SECRET);
  expect(history).toContain('hook-atStop-v2.0.0');
});

test('the plan says beforehand where a run stops and what it calls there', async () => {
  const shop = await openParts(parts.folder, {
    before: { command: ['/bin/true'] },
    atStop: { command: ['/bin/true'] },
  });
  const order = { instance: shop.name, to: 'v1.0.0', direction: 'down' } as const;
  expect(await shop.engine.plan({ ...order, via: 'every-release' })).toMatchObject({
    stops: [0],
    hooks: { before: 'command', atStop: 'command' },
  });
  expect(await shop.engine.plan(order)).not.toHaveProperty('stops');
  await expect(shop.engine.plan({ ...order, via: ['v9.0.0'] })).rejects.toThrow(
    '"v9.0.0", which this way does not pass',
  );
});
