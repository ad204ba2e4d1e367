import { afterEach, expect, test } from 'vitest';
import { isApproved, recordDecision } from '../../src/journal/runs.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';

let staged: Stage;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
});

test('a decision whose answer was lost is recorded once, a second one of the same kind beside it', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const rows = await staged.instance.sessions.withSession(async ({ client }) => {
    const decision = { run: staged.run, plan: 'a plan', kind: 'approve', by: 'eve', why: null, details: { n: 1 } };
    const at = '2026-01-02T03:04:05.678Z';
    await recordDecision(client, { ...decision, at });
    await recordDecision(client, { ...decision, at });
    await recordDecision(client, { ...decision, at: '2026-01-02T03:04:06.000Z', by: null, plan: null });
    expect(await isApproved(client, staged.run, 'a plan')).toBe(true);
    return (await client.query('select plan, decided_by, why, details from pgunwind.decision order by at')).rows;
  });
  expect(rows).toEqual([
    { plan: 'a plan', decided_by: 'eve', why: null, details: { n: 1 } },
    { plan: null, decided_by: null, why: null, details: { n: 1 } },
  ]);
});

test('decisions of the same kind that two operators send at once are both recorded', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const rows = await staged.instance.sessions.withSession(async ({ client }) => {
    const at = '2026-01-02T03:04:05.678Z'; // of one workflow task, so of both
    const decision = { run: staged.run, plan: null, kind: 'retryStep', why: null, at };
    await recordDecision(client, { ...decision, by: 'ann', details: { database: 'frontend' } });
    await recordDecision(client, { ...decision, by: 'bob', details: { database: 'orders' } });
    return (await client.query('select decided_by, details from pgunwind.decision order by decided_by')).rows;
  });
  expect(rows).toEqual([
    { decided_by: 'ann', details: { database: 'frontend' } },
    { decided_by: 'bob', details: { database: 'orders' } },
  ]);
});
