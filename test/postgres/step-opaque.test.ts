import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { endRun } from '../../src/journal/runs.js';
import { closeGate, terminate } from '../support/gate.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';

let staged: Stage;
afterEach(async () => {
  if (staged === undefined) return;
  await expectNoLeaks(staged.database);
  await staged.close();
});

const SETUP = 'create table witness (at integer);';
const WAIT = `perform set_config('lock_timeout', '0', true); perform pg_advisory_xact_lock(77, 1);`;
const loop = (inside: string) => `do $$
begin
  for at in 1..3 loop
    insert into witness values (at);
    commit;
    ${inside}
  end loop;
end
$$`;

async function witnesses(): Promise<number[]> {
  return (await staged.database.query<{ at: number }>('select at from witness order by at')).map((row) => row.at);
}

describe('an opaque step', () => {
  test('a DO block that commits runs once, and its check is clean', async () => {
    staged = await stage([{ migration: '10001', text: loop('') }], { setup: SETUP });
    expect(staged.order(1).execution).toBe('opaque');
    const applied = await staged.apply(1);
    expect(applied.outcome.how).toBe('ran');
    expect(applied.check).toMatchObject({ clean: true, reasons: [] });
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('foundDone');
    expect(await witnesses()).toEqual([1, 2, 3]);
  });

  test('what it makes between its commits is its own, and what somebody makes after it is not', async () => {
    const text = `do $$ begin create table one (id integer); commit; create table two (id integer); commit; drop table one; end $$`;
    staged = await stage([{ migration: '10001', text }], { setup: SETUP });
    expect((await staged.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
    await staged.database.query('create table three (id integer)');
    const verdict = await staged.check(2);
    expect(verdict.reasons).toMatchObject([{ code: 'changedByOthers' }]);
    expect(JSON.stringify(verdict.reasons)).not.toContain('two');
  });

  test('a death in the middle parks: no later attempt runs it again', async () => {
    staged = await stage([{ migration: '10001', text: loop(`if at = 2 then ${WAIT} end if;`) }], { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await terminate(staged.database, await gate.waiter());
    await gate.open();
    expect(await attempt).toMatchObject({ retryable: true });
    for (const later of [2, 3]) {
      await expect(staged.apply(1, { attempt: later })).rejects.toMatchObject({
        type: FailureType.StepUndecided,
        retryable: false,
        details: { unit: 1 },
      });
    }
    expect(await witnesses()).toEqual([1, 2]);
  });

  test('where a failover has lost the intent as well, nothing of it is left, and the next attempt runs it', async () => {
    staged = await stage([{ migration: '10001', text: loop(`if at = 2 then ${WAIT} end if;`) }], { setup: SETUP });
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await terminate(staged.database, await gate.waiter());
    await gate.open();
    expect(await attempt).toMatchObject({ retryable: true });
    // What the promoted standby never heard of: the step's row, the ledger's and what the script had committed.
    await staged.database.query(
      'delete from pgunwind.step; delete from witness; delete from migration_logs where not up',
    );
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
    expect(await witnesses()).toEqual([1, 2, 3]);
  });

  test('after an abort, a person who says in the ledger what became of it opens the way for the next run', async () => {
    staged = await stage([{ migration: '10001', text: loop('perform 1 / (2 - at);') }], { setup: SETUP });
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StepUndecided });
    await staged.database.query(`update pgunwind.run set ended_at = now(), state = 'aborted'`);

    const asking = await staged.again([{ migration: '10000', text: 'select 1' }]);
    expect((await asking.check(1)).reasons.map((reason) => reason.code)).toEqual([
      'unfinishedStep',
      'unfinishedLedgerRow',
    ]);
    await staged.database.query(`update pgunwind.run set ended_at = now(), state = 'aborted' where ended_at is null`);
    await staged.database.query(`update migration_logs set success = true, finished_at = now() where success is null`);

    const next = await staged.again([{ migration: '10000', text: 'select 1' }]);
    expect(await next.check(1)).toMatchObject({ clean: true, reasons: [] });
    expect(await staged.database.query(`select state from pgunwind.step`)).toEqual([{ state: 'settled' }]);
  });

  test.each(['before', 'after'] as const)(
    'a person who says so %s the abort leaves nothing for a next run to settle, though it finds nothing to do',
    async (when) => {
      staged = await stage([{ migration: '10001', text: loop('perform 1 / (2 - at);') }], { setup: SETUP });
      await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StepUndecided });
      const say = () =>
        staged.database.query(`update migration_logs set success = true, finished_at = now() where success is null`);
      const end = (run: string, state: 'aborted' | 'completed') =>
        staged.instance.sessions.withSession(({ client }) => endRun(client, run, state));
      const states = () => staged.database.query(`select state from pgunwind.step`);
      if (when === 'before') await say();
      await end(staged.run, 'aborted');
      if (when === 'before') return expect(await states()).toEqual([{ state: 'settled' }]);
      expect(await states()).toEqual([{ state: 'started' }]);
      await say();
      await end(randomUUID(), 'completed'); // of a run that was there already, and claimed nothing
      expect(await states()).toEqual([{ state: 'settled' }]);
    },
  );

  test("an error in it parks too, and the server's words are in the journal", async () => {
    staged = await stage([{ migration: '10001', text: loop('perform 1 / (2 - at);') }], { setup: SETUP });
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StepUndecided });
    expect(await witnesses()).toEqual([1, 2]);
    expect(await staged.database.query('select sqlstate, message from pgunwind.failure')).toEqual([
      { sqlstate: '22012', message: 'division by zero' },
    ]);
  });

  test('the pieces before and after it run once each', async () => {
    staged = await stage(
      [{ migration: '10001', text: `insert into witness values (0);\n${loop('')};\ncreate table made (a integer)` }],
      { setup: SETUP },
    );
    expect((await staged.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
    expect(await witnesses()).toEqual([0, 1, 2, 3]);
  });
});

describe('an empty step', () => {
  test.each(['', ' -- nothing to undo\n', 'begin; commit;'])('changes ledger and journal only: %j', async (text) => {
    staged = await stage([{ migration: '10001', text }], { setup: SETUP });
    expect(staged.order(1).execution).toBe('empty');
    const applied = await staged.apply(1);
    expect(applied.outcome.how).toBe('empty');
    expect(applied.check).toMatchObject({ clean: true, reasons: [] });
    expect(await staged.database.query('select pgunwind.ledger_applied() as ids')).toEqual([{ ids: [] }]);
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('foundDone');
  });
});
