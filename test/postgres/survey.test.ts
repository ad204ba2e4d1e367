import { afterEach, expect, test } from 'vitest';
import type { OpenInstance } from '../../src/instance/instances.js';
import { surveyDatabase } from '../../src/instance/survey.js';
import { closeGate, waitAt } from '../support/gate.js';
import { pastLog } from '../../src/instance/past.js';
import { createSessionPool } from '../../src/postgres/session-pool.js';
import { DEFAULT_SETTINGS } from '../../src/postgres/session.js';
import { createRole, dropRole, expectNoLeaks, serverUrl } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';
import { until } from '../support/until.js';
import { startProxy, type Proxy } from '../support/wire-proxy.js';

let staged: Stage;
let proxy: Proxy | undefined;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
  await proxy?.close();
  proxy = undefined;
});

test('a step of an earlier run that ends while a plan is being made is no stranger in the ledger', async () => {
  const held = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
  proxy = held;
  const segments = `select 1; commit and chain; ${waitAt(1)}`;
  staged = await stage([{ migration: '10001', text: segments }], { via: (url) => held.url(url) });
  const gate = await closeGate(staged.database, 1);
  const step = staged.apply(1);
  await gate.waiter();
  const between = held.hold({
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

test('a role that may read neither ledger nor journal is told what it lacks, and where', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const role = await createRole(staged.database, 'reader');
  const sessions = createSessionPool({
    url: () => Promise.resolve(staged.database.urlAs(role)),
    settings: DEFAULT_SETTINGS,
  });
  try {
    const instance = { ...staged.instance, sessions };
    await expect(surveyDatabase(instance, 'down')).rejects.toMatchObject({
      type: 'InsufficientPrivileges',
      message: expect.stringMatching(
        new RegExp(`"${role}" does not own everything .* in "frontend": migration_logs`),
      ) as string,
    });
    const open = {
      config: { name: 'test' } as OpenInstance['config'], // all that is asked of it here
      databases: [instance],
      database: () => instance,
      catalog: () => Promise.reject(new Error('not part of this test')),
    };
    const order = { run: null, database: null, failuresOnly: false, last: 200 };
    await expect(pastLog(open, order)).rejects.toMatchObject({
      type: 'InsufficientPrivileges',
      message: expect.stringContaining('may not read the journal of "frontend" (SQLSTATE 42501)') as string,
    });
  } finally {
    await sessions.close();
    await dropRole(staged.database, role);
  }
});
