import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openReceiver } from '../support/receiver.js';
import { until } from '../support/until.js';
import { buildParts, detailsOf, openParts, refusalOf } from './hooks-shop.js';

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

const SECRET = `whsec_${Buffer.from('a key that only the receiver has').toString('base64')}`;
const keysOf = (received: readonly { readonly headers: Readonly<Record<string, unknown>> }[]) =>
  received.map(({ headers }) => headers['webhook-id']);

test('a webhook that answers 500 is called again, then the run parks at the release; a retry calls it with the same key', async () => {
  const receiver = await openReceiver();
  receiver.replies({ status: 500, body: `{"error":"no room for it, and ${SECRET} is the secret"}` });
  const webhook = { url: `${receiver.url}/turn?token=of-the-url`, secret: { env: 'HOOK_SECRET' } };
  const shop = await openParts(parts.folder, { atStop: { webhook, attempts: 2 } }, { HOOK_SECRET: SECRET });
  const run = await shop.down();
  const status = await run.inState('needsOperator');
  expect(receiver.received).toHaveLength(2);
  expect(status).toMatchObject({ parked: [{ database: null, during: 'hook', failure: 'HookFailed' }], stepsDone: 1 });
  const message = status.parked[0]?.message ?? '';
  expect(message).toContain(`hooks.atStop of "${shop.name}" (${receiver.url}) answered 500`);
  expect(message).toContain('attempt 2, the last');
  expect(message).toContain('no room for it, and *** is the secret');
  expect(message).toContain('The databases stand at v2.0.0');
  expect(status.waitingFor).toContain('"continue"');
  expect(await detailsOf(run)).toMatch(/--name retryStep\n.*\n.*--name continue\n.*\n.*--name abort/);
  expect(await shop.database.query('select token from pgunwind.fence')).toEqual([{ token: null }]);

  receiver.replies(200);
  await run.update('retryStep', { by: 'ann' });
  const report = await run.unaided();
  expect(report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(keysOf(receiver.received)).toEqual(Array.from({ length: 3 }, () => `${report.run}-atStop-1`));
  const history = await run.history();
  expect(
    [SECRET, 'of-the-url'].filter((secret) => history.includes(secret) || shop.engine.logged().includes(secret)),
  ).toEqual([]);
});

test('a webhook that never answers is given up after its time, and a person can say that it is done', async () => {
  const receiver = await openReceiver();
  receiver.replies('hang');
  const shop = await openParts(parts.folder, {
    atStop: { webhook: { url: receiver.url }, timeoutSeconds: 1, attempts: 1 },
  });
  const run = await shop.down();
  const { parked } = await run.inState('needsOperator');
  expect(parked[0]?.message).toContain('gave no answer within 1 s');
  expect(receiver.received[0]?.headers).not.toHaveProperty('webhook-signature');
  await run.update('continue', { release: 'v2.0.0', by: 'ann', why: 'deployed by hand' });
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', decisions: [{ kind: 'continue', by: 'ann' }] });
  expect(receiver.received).toHaveLength(1);
});

test('a webhook that answers 200 and then goes on talking has answered: nobody is called twice', async () => {
  const receiver = await openReceiver();
  receiver.replies({ status: 200, body: 'deploying …', endless: true });
  const shop = await openParts(parts.folder, {
    atStop: { webhook: { url: receiver.url }, timeoutSeconds: 2, attempts: 2 },
  });
  const run = await shop.down();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed' });
  expect(receiver.received).toHaveLength(1);
});

test('a webhook that nobody serves parks the run, and the message names where but not what', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const shop = await openParts(
    parts.folder,
    { before: { webhook: { url: { env: 'HOOK_URL' } }, attempts: 1 } },
    { HOOK_URL: `http://127.0.0.1:${port}/path-with-token` },
  );
  const run = await shop.down();
  const { parked, stepsDone } = await run.inState('needsOperator');
  expect(parked[0]?.message).toContain(`(http://127.0.0.1:${port}) cannot be reached (ECONNREFUSED)`);
  expect(stepsDone).toBe(0);
  expect(await run.history()).not.toContain('path-with-token');
  await run.update('abort');
  expect(await run.report).toMatchObject({ outcome: 'aborted', stepsDone: 0 });
  expect(await shop.standing()).toEqual([1, 2, 3]);
});

test('after 202 the run waits for continue, over a new worker, and calls nobody again', async () => {
  const receiver = await openReceiver();
  receiver.replies(202);
  const webhook = { url: receiver.url };
  const shop = await openParts(parts.folder, { atStop: { webhook }, after: { webhook } });
  const run = await shop.down();
  const waits = (name: string) =>
    until(async () => (await run.status()).hook?.state === 'waiting' && (await run.status()).hook?.name === name, {
      describe: `hooks.${name} to have taken it up`,
      within: 30_000,
      show: () => run.status(),
    });
  await waits('atStop');
  await shop.engine.restart();
  expect(await run.status()).toMatchObject({
    state: 'atStop',
    release: 'v2.0.0',
    stepsDone: 1,
    hook: { kind: 'webhook' },
  });
  expect((await run.status()).waitingFor).toContain('hooks.atStop has taken it up');
  expect(await detailsOf(run)).toContain(
    `temporal workflow update execute \\\n  --workflow-id ${run.workflowId} --name continue`,
  );
  expect(await refusalOf(run.update('continue', { release: 'v1.0.0' }))).toContain('waits at v2.0.0, not at "v1.0.0"');
  await run.update('continue', { release: 'v2.0.0', by: 'deployer' });
  await waits('after');
  expect(await shop.standing()).toEqual([1]);
  expect(await refusalOf(run.update('continue', { release: 'v2.0.0' }))).toContain('waits at v1.0.0');
  await run.update('continue', { release: 'v1.0.0', by: 'deployer' });
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(receiver.received).toHaveLength(2);
});

test('4xx and redirects park at once; 429 is called again when it says', async () => {
  const [receiver, other] = [await openReceiver(), await openReceiver()];
  receiver.replies(403);
  const shop = await openParts(parts.folder, { atStop: { webhook: { url: receiver.url } } });
  const run = await shop.down();
  expect((await run.inState('needsOperator')).parked[0]?.message).toContain('answered 403');
  expect(receiver.received).toHaveLength(1);

  receiver.replies({ status: 307, headers: { location: other.url } });
  await run.update('retryStep');
  await until(() => receiver.received.length === 2, { describe: 'the second call' });
  expect((await run.inState('needsOperator')).parked[0]?.message).toContain('redirects are not followed');
  expect(other.received).toEqual([]);

  receiver.replies({ status: 429, headers: { 'retry-after': '2' } }, 200);
  await run.update('retryStep');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed' });
  expect(receiver.received).toHaveLength(4);
  const [, , asked, again] = receiver.received.map(({ at }) => at) as [number, number, number, number];
  expect(again - asked).toBeGreaterThanOrEqual(1_900); // the back-off alone would be one second
});

test.each([
  ['that is not set', {}, 'the environment variable HOOK_SECRET is not set'],
  ['of another form', { HOOK_SECRET: 'plain-text-secret' }, 'does not have the form "whsec_" and base64'],
  ['that is too short', { HOOK_SECRET: 'whsec_c2hvcnQ=' }, 'too short'],
])(
  'a secret %s parks the run before anybody is called, and is not repeated',
  async (_, env: Readonly<Record<string, string>>, said) => {
    const receiver = await openReceiver();
    const shop = await openParts(
      parts.folder,
      { atStop: { webhook: { url: receiver.url, secret: { env: 'HOOK_SECRET' } } } },
      env,
    );
    const run = await shop.down();
    const { parked, warnings } = await run.inState('needsOperator');
    expect(parked).toMatchObject([{ during: 'hook', failure: 'HookFailed' }]);
    expect(parked[0]?.message).toContain(said);
    expect(warnings.join(), 'it was said when the run was planned').toContain(said);
    const history = await run.history();
    for (const secret of Object.values(env)) expect(history).not.toContain(secret);
    expect(receiver.received).toEqual([]);
    await run.update('abort');
    await run.report;
  },
);

test('a URL from the environment that holds a user and password is refused at once, by words that do not repeat it', async () => {
  const receiver = await openReceiver();
  const shop = await openParts(
    parts.folder,
    { atStop: { webhook: { url: { env: 'HOOK_URL' } }, attempts: 2 } },
    { HOOK_URL: receiver.url.replace('http://', 'http://deployer:open-sesame@') },
  );
  const run = await shop.down();
  const { parked, warnings } = await run.inState('needsOperator');
  expect(parked[0]?.message).toContain('holds a user or password, which is not sent');
  expect(warnings.join(), 'it was said when the run was planned').toContain('holds a user or password');
  expect(await run.history()).not.toContain('open-sesame');
  await run.update('abort');
  await run.report;
});

test('an abort, and a continue, end a call that is under way', async () => {
  const receiver = await openReceiver();
  receiver.replies('hang');
  const shop = await openParts(parts.folder, { atStop: { webhook: { url: receiver.url }, timeoutSeconds: 300 } });
  const called = (times: number) =>
    until(() => receiver.received.length === times, { describe: `call ${times}`, within: 30_000 });
  const aborted = await shop.down();
  await called(1);
  expect(await aborted.status()).toMatchObject({ state: 'atStop', hook: { name: 'atStop', state: 'calling' } });
  await aborted.update('abort');
  expect(await aborted.report).toMatchObject({ outcome: 'aborted', standsAt: 'v2.0.0' });

  const back = await shop.engine.start('upgrade', { instance: `${shop.name}-plain`, to: 'v3.0.0' });
  await back.unaided();
  const run = await shop.down();
  await called(2);
  await run.update('pause');
  await run.inState('paused');
  await run.update('continue', { by: 'ann' });
  await run.update('resume');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(new Set(keysOf(receiver.received)).size).toBe(2);
});
