import { afterEach, expect, test } from 'vitest';
import { surveyDatabase } from '../../src/instance/survey.js';
import { closeGate, waitAt } from '../support/gate.js';
import { expectNoLeaks, serverUrl } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';
import { until } from '../support/until.js';
import { startProxy, type Proxy } from '../support/wire-proxy.js';

let staged: Stage;
let proxy: Proxy;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
  await proxy.close();
});

test('a step of an earlier run that ends while a plan is being made is no stranger in the ledger', async () => {
  proxy = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
  const segments = `select 1; commit and chain; ${waitAt(1)}`;
  staged = await stage([{ migration: '10001', text: segments }], { via: (url) => proxy.url(url) });
  const gate = await closeGate(staged.database, 1);
  const step = staged.apply(1);
  await gate.waiter();
  const between = proxy.hold({
    database: staged.database.name,
    when: ({ side, text }) => side === 'client' && text.includes('runs.half-done'),
  });
  const survey = surveyDatabase(staged.instance, 'down');
  await until(() => between.isReached(), { describe: 'a survey that has read the ledger and not yet the journal' });
  await gate.open();
  expect((await step).outcome.how).toBe('ran');
  between.release();
  expect((await survey).state).toMatchObject({ applied: ['10001'] }); // as it was when the survey began
});
