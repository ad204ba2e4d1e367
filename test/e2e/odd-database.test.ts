import { describe, expect, test } from 'vitest';
import type { TestRun } from '../support/engine.js';
import { closeGate } from '../support/gate.js';
import { oddShops, parkedOf, reasonsOf, type OddShop } from './odd-shop.js';

// Somebody works on the database by hand while the run stands between its second step (5) and its third (4).

const shops = oddShops();

/** What is done while the second script waits is there when the check behind its commit looks. */
async function betweenSteps(
  it: OddShop,
  byHand: () => Promise<unknown>,
): Promise<{ run: TestRun; reasons: string[]; remedies: string }> {
  const gate = await closeGate(it.database, 5);
  const run = await it.start();
  await gate.waiter();
  await byHand();
  await gate.open();
  const parked = await parkedOf(run);
  expect(parked).toMatchObject({ failure: 'DirtyDatabase', during: 'check', seq: 3, migration: '4' });
  expect(parked.message).toContain('Nothing was changed by this check');
  expect((await it.witnessed()).filter((what) => what !== '4 down')).toEqual(['6 down', '5 down']);
  return { run, reasons: reasonsOf(parked), remedies: parked.reasons.map(({ remedy }) => remedy).join(' ') };
}

const SET = "unexpectedAppliedSet: the ledger's applied set is not the one of this point";
const OTHERS = 'changedByOthers: someone else changed the schema since the last check';

describe('a ledger that somebody has edited', () => {
  test.each([
    [
      'a row deleted',
      'delete from migration_logs where version = 3',
      `${SET}: not applied, though this run has not undone them yet: 3`,
      (it: OddShop) => it.ledgerRow(3, true),
    ],
    [
      '"up" of an applied id flipped',
      'update migration_logs set up = false where version = 3',
      `${SET}: not applied, though this run has not undone them yet: 3`,
      'update migration_logs set up = true where version = 3',
    ],
    [
      '"up" of an undone id flipped',
      'update migration_logs set up = true where version = 6',
      `${SET}: applied, though this run has undone them: 6`,
      'update migration_logs set up = false where id = (select max(id) from migration_logs where version = 6)',
    ],
    [
      'an id that no release knows',
      (it: OddShop) => it.ledgerRow(777, true),
      `${SET}: applied, though they were not when the plan was made: 777`,
      'delete from migration_logs where version = 777',
    ],
    [
      'success set to null',
      'update migration_logs set success = null where version = 3',
      "unfinishedLedgerRow: the product's ledger says that 3 (up-running) began and did not end, and our journal knows nothing of it",
      'update migration_logs set success = true where version = 3',
    ],
    [
      'success set to false',
      'update migration_logs set success = false where version = 3',
      "failedLedgerRow: the product's ledger says that 3 (up-failed) failed",
      'update migration_logs set success = true where version = 3',
    ],
  ])('%s: named with the id; the row put right, retryStep goes on', async (_, edit, reason, repair) => {
    const it = await shops.open();
    const carryOut = (what: typeof edit) => (typeof what === 'string' ? it.database.query(what) : what(it));
    const { run, reasons, remedies } = await betweenSteps(it, () => carryOut(edit));
    expect(reasons).toEqual([reason]);
    expect(remedies).toContain('"retryStep"');
    await carryOut(repair);
    await run.update('retryStep');
    await it.expectEnd(run);
  });
});

describe("the next step's script, run by hand", () => {
  const BY_HAND = "drop table part4; insert into witness (what) values ('4 down')";

  test('with its row in the ledger: a new run does not do it again', async () => {
    const it = await shops.open();
    const { run, reasons, remedies } = await betweenSteps(it, async () => {
      await it.database.query(BY_HAND);
      await it.ledgerRow(4, false);
    });
    expect(reasons).toEqual([
      `${SET}: not applied, though this run has not undone them yet: 4`,
      expect.stringMatching(/^changedByOthers: .*pg_class \d+ instead of \d+/),
    ]);
    expect(remedies).toContain('Where the schema was changed too, abort this run and start again');
    await expectEndInOrder(it, await it.again(run));
  });

  test('without its row: once the ledger has it, a new run does not do it again', async () => {
    const it = await shops.open();
    const { run, reasons } = await betweenSteps(it, () => it.database.query(BY_HAND));
    expect(reasons).toEqual([expect.stringMatching(/^changedByOthers: .*pg_class \d+ instead of \d+/)]);
    await it.ledgerRow(4, false);
    await expectEndInOrder(it, await it.again(run));
  });

  /** 4 went before 5 had ended. */
  async function expectEndInOrder(it: OddShop, run: TestRun): Promise<void> {
    await it.expectEnd(run, { journal: [6, 5, 3, 2], witnessed: ['6 down', '4 down', '5 down', '3 down', '2 down'] });
  }
});

describe('a table', () => {
  test('that somebody has made: named; dropped again, retryStep goes on', async () => {
    const it = await shops.open();
    const { run, reasons, remedies } = await betweenSteps(it, () =>
      it.database.query('create table strangers (id integer)'),
    );
    expect(reasons).toEqual([
      expect.stringMatching(
        `^${OTHERS} \\(changed or made: relation public\\.strangers, attribute public\\.strangers\\.id; rows of`,
      ),
    ]);
    expect(remedies).toContain('What was only added: drop it again, then send the update "retryStep"');
    await it.database.query('drop table strangers');
    await run.update('retryStep');
    await it.expectEnd(run);
  });

  test('that somebody has altered: named; a new run counts from what is there', async () => {
    const it = await shops.open();
    const { run, reasons } = await betweenSteps(it, () => it.database.query('alter table part3 add column extra text'));
    expect(reasons).toEqual([
      expect.stringMatching(
        `^${OTHERS} \\(changed or made: relation public\\.part3, attribute public\\.part3\\.extra; rows of`,
      ),
    ]);
    await it.database.query('alter table part3 drop column extra');
    await it.expectEnd(await it.again(run));
  });

  test('that somebody has dropped: the fingerprint of the start names it; made again, a new run goes on', async () => {
    const it = await shops.open();
    const { run, reasons } = await betweenSteps(it, () => it.database.query('drop table bystander'));
    expect(reasons).toEqual([
      expect.stringMatching(`^${OTHERS} \\(rows of the catalogs: pg_class \\d+ instead of \\d+`),
    ]);
    // docs/dirty.md
    const gone = await it.database.query(`select k.object
      from (select f.objects -> 'objects' as objects from pgunwind.fingerprint f order by f.taken_at desc limit 1) f
     cross join lateral jsonb_object_keys(f.objects) k (object)
     where k.object like 'table %' and to_regclass(substr(k.object, 7)) is null
     order by 1`);
    expect(gone).toEqual(['bystander', 'part5', 'part6'].map((name) => ({ object: `table public.${name}` }))); // two by our steps
    await it.database.query('create table bystander (id integer primary key)');
    await it.expectEnd(await it.again(run));
  });
});
