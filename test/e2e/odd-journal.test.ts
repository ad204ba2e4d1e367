import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { OURS_TOO } from '../../src/journal/install.js';
import { until } from '../support/until.js';
import { closeGate } from '../support/gate.js';
import { failureOf } from '../workflows/harness.js';
import { oddShops, parkedAnew, parkedOf, reasonsOf } from './odd-shop.js';

// Each test brings one odd state about in the middle of a real run, sees it named, follows the documented way on, and sees the
// run (or the new one) end by itself. Here: somebody has changed the journal.

const shops = oddShops();

describe('a row of the journal that somebody has deleted', () => {
  test('of a step that is done: the check tells that ledger and journal differ; a new run plans from the ledger', async () => {
    const it = await shops.open();
    const gate = await closeGate(it.database, 5);
    const run = await it.start();
    await gate.waiter();
    await it.database.query('delete from pgunwind.step where seq = 1');
    await gate.open();
    const parked = await parkedOf(run);
    expect(parked).toMatchObject({ failure: 'DirtyDatabase', during: 'check', seq: 3 });
    expect(reasonsOf(parked)).toEqual([
      "unexpectedAppliedSet: the ledger's applied set is not the one of this point: done in the ledger, though the journal has no row of " +
        'their steps: 6 (step 1)',
    ]);
    expect(parked.reasons[0]?.remedy).toContain('abort this run, and start again');
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await it.expectEnd(await it.again(run), { journal: [5, 4, 3, 2] });
  });

  test('of the plan: the step is not carried out; a new run writes the plan whole again', async () => {
    const it = await shops.open();
    const run = await it.parkedBefore(6); // before the first step: the new run has the very same plan
    await it.database.query('delete from pgunwind.plan_step where seq in (1, 4)');
    await it.repair();
    await run.update('retryStep');
    const parked = await parkedAnew(run);
    expect(parked).toMatchObject({ failure: 'JournalIncomplete', during: 'step', seq: 1 });
    expect(parked.message).toContain(
      'does not fit step 1 (6): pgunwind.plan_step has no row for it. Nothing was changed. Abort this run',
    );
    expect(await it.witnessed()).toEqual([]);
    const { plan } = await run.status();
    const again = await it.again(run);
    await it.expectEnd(again);
    expect((await again.status()).plan).toBe(plan);
  });

  test('of the run itself: a claim finds no open run; a new run plans from the ledger', async () => {
    const it = await shops.open();
    const run = await it.parkedBefore(4);
    await it.database.query('delete from pgunwind.step; delete from pgunwind.run');
    await it.repair();
    await run.update('retryStep');
    const parked = await parkedAnew(run);
    expect(parked).toMatchObject({ failure: 'JournalIncomplete', during: 'claim' });
    expect(parked.message).toMatch(
      /The run [0-9a-f-]+ is not open in the journal of "frontend".*Nothing was changed\. Abort this run/,
    );
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await it.expectEnd(await it.again(run), { journal: [4, 3, 2] });
  });

  test('of the fence: no attempt acts without it, and the next claim makes it anew', async () => {
    const it = await shops.open();
    const gate = await closeGate(it.database, 5);
    const run = await it.start();
    await gate.waiter();
    const deleted = it.database.query('delete from pgunwind.fence'); // waits for the step that holds it
    await gate.open();
    await deleted;
    await it.expectEnd(run);
    expect(await it.database.query('select count(*)::integer as rows from pgunwind.fence')).toEqual([{ rows: 1 }]);
  });
});

describe('a script in the journal that is not the text of its hash', () => {
  const CHANGED = `update pgunwind.script s set body = body || ' drop table bystander;'
    from pgunwind.plan_step p where p.script = s.sha256 and p.migration = '3' returning sha256`;

  test('is not run; with its text from the catalog again the run goes on', async () => {
    const it = await shops.open();
    const gate = await closeGate(it.database, 5);
    const run = await it.start();
    await gate.waiter();
    const [changed] = await it.database.query<{ sha256: string }>(CHANGED);
    const sha256 = changed?.sha256 ?? '';
    await gate.open();
    const parked = await parkedOf(run);
    expect(parked).toMatchObject({ failure: 'JournalIncomplete', during: 'step', seq: 4, migration: '3' });
    expect(parked.message).toContain(`pgunwind.script ${sha256}) does not have the hash`);
    expect(parked.message).toContain(`Nothing was run. Restore its body from the catalog (scripts/${sha256}.sql)`);
    expect(await it.witnessed()).toEqual(['6 down', '5 down', '4 down']);
    const body = await readFile(path.join(shops.folder, 'shop', 'scripts', `${sha256}.sql`), 'utf8');
    await it.database.query('update pgunwind.script set body = $2 where sha256 = $1', [sha256, body]);
    await run.update('retryStep');
    await it.expectEnd(run);
  });

  test('is put right by a new run too', async () => {
    const it = await shops.open();
    const gate = await closeGate(it.database, 5);
    const run = await it.start();
    await gate.waiter();
    await it.database.query(CHANGED);
    await gate.open();
    expect(await parkedOf(run)).toMatchObject({ failure: 'JournalIncomplete', seq: 4 });
    await it.expectEnd(await it.again(run));
  });
});

test("a script's file in the catalog that was changed ends the run before it has a plan; put right, a new start goes on", async () => {
  const it = await shops.open();
  const engine = it.engine;
  const { plan } = await engine.plan({ instance: it.name, to: 'v1.0.0', direction: 'down' });
  const sha256 = plan.legs[0]?.steps['frontend']?.[0]?.script ?? '';
  const file = path.join(shops.folder, 'shop', 'scripts', `${sha256}.sql`);
  const text = await readFile(file, 'utf8');
  await writeFile(file, `${text} drop table bystander;`);
  try {
    const failure = await failureOf((await it.start()).report);
    expect(failure.type).toBe('InvalidCatalog');
    expect(failure.message).toMatch(
      new RegExp(
        `Script ${sha256} of the catalog in .* was changed since it was built\\. Nothing was run\\. Build the catalog again`,
      ),
    );
    expect(await it.witnessed()).toEqual([]);
  } finally {
    await writeFile(file, text);
  }
  await it.expectEnd(await it.start());
});

describe('a schema "pgunwind" that somebody has dropped', () => {
  test.each([
    ['is missed by the claim', false],
    ['is not made anew in the middle of a run by a worker that starts', true],
  ])('%s; a new run makes it anew and plans from the ledger', async (_, restart) => {
    const it = await shops.open();
    const run = await it.parkedBefore(4);
    await it.database.query('drop schema pgunwind cascade');
    if (restart) await it.engine.restart();
    await it.repair();
    await run.update('retryStep');
    const parked = await parkedAnew(run);
    expect(parked).toMatchObject({ failure: 'JournalIncomplete', during: 'claim' });
    expect(parked.message).toMatch(
      /"frontend" has no journal: the schema "pgunwind" is not there\. .*Nothing was changed\..*start again/,
    );
    expect(await it.database.query(`select to_regnamespace('pgunwind') as found`)).toEqual([{ found: null }]);
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await it.expectEnd(await it.again(run), { journal: [4, 3, 2] });
  });

  test('is named in the middle of a leg as well, and a part of it that is missing', async () => {
    const it = await shops.open();
    const gate = await closeGate(it.database, 5);
    const run = await it.start();
    await gate.waiter();
    const dropped = it.database.query('drop function pgunwind.begin_step, pgunwind.check');
    await dropped;
    await gate.open();
    const parked = await parkedOf(run);
    expect(parked).toMatchObject({ failure: 'JournalIncomplete' });
    expect(parked.message).toMatch(
      /lacks parts of its own.*Abort this run, drop what is left \("drop schema pgunwind cascade"\)/,
    );
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await run.update('abort');
    await run.report;
    await it.database.query('drop schema pgunwind cascade');
    await it.expectEnd(await it.start(), { journal: [4, 3, 2] });
  });
});

describe('the journal of a newer pg-unwind', () => {
  // What its install does, as far as an older worker can tell.
  const written = (version: number) => `begin;
    create or replace function pgunwind.version() returns integer language sql immutable as 'select ${version}';
    update pgunwind.meta set value = case key when 'version' then '${version}' else 'of another release' end;
    ${OURS_TOO}
    commit`;

  test('is left alone by an older worker that runs on: its step is tried again until a newer worker has it', async () => {
    const it = await shops.open();
    const run = await it.parkedBefore(4);
    await it.database.query(written(2));
    await it.repair();
    await run.update('retryStep');
    const message = await until(
      async () => {
        const { raw } = await run.handle.describe();
        return raw.pendingActivities?.find(({ activityId }) => activityId === 'frontend-0003-down')?.lastFailure
          ?.message;
      },
      { describe: 'the third step to be refused' },
    );
    expect(message).toContain('The journal of "frontend" has version 2, this worker knows version 1');
    expect((await run.status()).state).toBe('running');
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await it.database.query(written(1));
    await it.expectEnd(run);
  });

  test('parks the run where all workers are too old; an updated worker and retryStep go on', async () => {
    const it = await shops.open({ options: '{ maximumAttempts: 2 }' });
    const run = await it.parkedBefore(4);
    await it.database.query(written(2));
    await it.engine.restart();
    await it.repair();
    await run.update('retryStep');
    const parked = await parkedAnew(run);
    expect(parked).toMatchObject({ failure: 'JournalNewer', during: 'claim' });
    expect(parked.message).toMatch(
      /has version 2, this worker knows version 1.*Nothing was changed by this worker.*"retryStep"/,
    );
    expect(await it.witnessed()).toEqual(['6 down', '5 down']);
    await it.database.query(written(1));
    await it.engine.restart();
    await run.update('retryStep');
    await it.expectEnd(run);
  });

  test('is no change by somebody else to the run in whose middle it is installed', async () => {
    const it = await shops.open();
    const run = await it.parkedBefore(4);
    await it.database.query(`update pgunwind.meta set value = 'of another release' where key = 'sources'`);
    await it.engine.restart();
    await it.repair();
    await run.update('retryStep');
    await it.expectEnd(run);
    expect(await it.database.query(`select from pgunwind.meta where value = 'of another release'`)).toEqual([]);
  });
});
