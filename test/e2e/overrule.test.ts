import { expect, test } from 'vitest';
import { closeGate } from '../support/gate.js';
import { oddShops, parkedAnew, parkedOf, reasonsOf, type OddShop } from './odd-shop.js';

// An operator passes over what was found, or takes a step over: real workflow, worker and database, and the run goes to its end.

const shops = oddShops();

const decisions = (it: OddShop) =>
  it.database.query("select kind, decided_by, why from pgunwind.decision where kind <> 'approve' order by id");

test('a stray column is accepted: the run goes on; what is changed after that parks it again', async () => {
  const it = await shops.open();
  const gate = await closeGate(it.database, 5);
  const next = await closeGate(it.database, 3);
  const run = await it.start();
  await gate.waiter();
  await it.database.query('alter table bystander add column stray text');
  await gate.open();
  expect(reasonsOf(await parkedOf(run))).toEqual([expect.stringContaining('public.bystander.stray')]);
  await run.update('acceptDirty', { code: 'changedByOthers', by: 'ann', why: 'the audit column stays' });
  await next.waiter();
  await it.database.query('alter table bystander drop column stray, add column other text');
  await next.open();
  const again = await parkedOf(run);
  expect(again).toMatchObject({ failure: 'DirtyDatabase', seq: 5 });
  expect(reasonsOf(again)).toEqual([expect.stringContaining('public.bystander.other')]);
  await run.update('acceptDirty', { code: 'changedByOthers', by: 'ann', why: 'this one too' });
  expect(await run.report).toMatchObject({
    outcome: 'completed',
    decisions: [{ kind: 'approve' }, { kind: 'acceptDirty' }, { kind: 'acceptDirty', why: 'this one too' }],
  });
  expect(await decisions(it)).toEqual([
    { kind: 'acceptDirty', decided_by: 'ann', why: 'the audit column stays' },
    { kind: 'acceptDirty', decided_by: 'ann', why: 'this one too' },
  ]);
});

test('a script that fails is carried out by hand, with its ledger row: the step is taken over, and the run ends in order', async () => {
  const it = await shops.open();
  const run = await it.parkedBefore(4);
  const skip = () => run.update('skipStep', { ledger: 'keep', by: 'ann', why: 'the script was wrong; done by hand' });
  await expect(skip()).rejects.toThrow();
  expect((await run.status()).parked).toMatchObject([{ failure: 'StepFailed', seq: 3 }]);
  await it.database.query(`drop table part4; insert into witness (what) values ('4 down')`);
  await it.ledgerRow(4, false);
  await skip();
  await it.expectEnd(run);
  expect((await run.report).warnings).toContain(
    'frontend 4 (step 3) was not run here but taken over by ann: the script was wrong; done by hand',
  );
});

test('a step that somebody has done by hand is found, and taken over as it stands', async () => {
  const it = await shops.open();
  const run = await it.parkedBefore(4);
  await it.database.query(`drop table part4; insert into witness (what) values ('4 down')`);
  await it.repair();
  await run.update('retryStep');
  expect(reasonsOf(await parkedAnew(run))).toEqual([expect.stringMatching(/^changedByOthers: /)]);
  await run.update('skipStep', { ledger: 'record', by: 'ann', why: 'it was there already' });
  await it.expectEnd(run);
});
