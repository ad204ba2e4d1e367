import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { closeGate, openClient, terminate, waitAt } from '../support/gate.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage, type StagedStep } from '../support/stage.js';

let staged: Stage;
afterEach(async () => {
  if (staged === undefined) return;
  await expectNoLeaks(staged.database);
  await staged.close();
});

const SETUP = `create table witness (at integer, what text default current_user); create table parcels (id integer primary key);`;
const insert = (at: number) => `insert into witness (at) values (${at});`;
const chain = (...segments: string[]) => segments.join('\ncommit and chain;\n');
const one = (text: string): StagedStep[] => [{ migration: '10001', text }];

async function witnesses(): Promise<number[]> {
  const rows = await staged.database.query<{ at: number }>('select at from witness order by at');
  return rows.map((row) => row.at);
}

async function locksOfOurs(): Promise<unknown[]> {
  return staged.database.query(`select l.classid, l.objid from pg_locks l
    where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())`);
}

describe('a segmented step', () => {
  test.each([
    ['three segments', chain(insert(1), insert(2), insert(3)), 3],
    ['an empty last segment', chain(insert(1), insert(2), ''), 2],
    ['an empty first segment', chain('', insert(1), insert(2)), 2],
    ['COMMIT; BEGIN', `begin; ${insert(1)} commit; begin; ${insert(2)} commit;`, 2],
    ['a hundred and eighty-one segments', chain(...Array.from({ length: 181 }, (_, at) => insert(at + 1))), 181],
  ])('carries out %s once each, is clean afterwards and gives its locks back', async (_, text, count) => {
    staged = await stage(one(text), { setup: SETUP });
    expect(staged.order(1).execution).toBe('segmented');
    const applied = await staged.apply(1);
    expect(applied.outcome).toMatchObject({ how: 'ran', attempt: 1 });
    expect(applied.check).toMatchObject({ clean: true, reasons: [] });
    expect(await witnesses()).toEqual(Array.from({ length: count }, (_, at) => at + 1));
    expect(await staged.database.query('select pgunwind.ledger_applied() as ids')).toEqual([{ ids: [] }]);
    expect(await locksOfOurs()).toEqual([]);
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('foundDone');
    expect(await witnesses()).toHaveLength(count);
  });

  test('a migration applied again while it is half done is to be brought back first: no advice to start anew', async () => {
    const steps = [
      { migration: '10002', text: insert(1) },
      { migration: '10001', text: chain(insert(2), 'select 1 / 0;') },
    ];
    staged = await stage(steps, { setup: SETUP });
    await staged.apply(1);
    await expect(staged.apply(2)).rejects.toMatchObject({ type: FailureType.StepFailed });
    await staged.database.query(
      `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
       values (2, 'schema_migrations', 10002, true, now(), now(), true)`,
    );
    const failure = await staged.apply(2, { attempt: 2 }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ type: FailureType.DirtyDatabase });
    expect(String(failure)).toMatch(/10002; meanwhile 10001 is half done/);
    expect(String(failure)).toMatch(/bring the listed migrations back by hand/);
    expect(String(failure)).not.toMatch(/abort this run/);
  });

  test('an error in the middle leaves the segments before it done, and a later attempt goes on at that very segment', async () => {
    staged = await stage(one(chain(insert(1), insert(2), `${insert(3)} insert into parcels values (1);`, insert(4))), {
      setup: `${SETUP} insert into parcels values (1);`,
    });
    await expect(staged.apply(1)).rejects.toMatchObject({
      type: FailureType.StepFailed,
      details: { sqlstate: '23505', statement: 4 },
    });
    await expect(staged.apply(1, { attempt: 2 })).rejects.toMatchObject({ details: { statement: 4 } });
    expect(await witnesses()).toEqual([1, 2]);
    expect(await staged.database.query('select state, unit from pgunwind.step')).toEqual([
      { state: 'started', unit: 2 },
    ]);
    expect(await staged.database.query(`select success from migration_logs where version = 10001 and not up`)).toEqual([
      { success: null },
    ]);
    expect((await staged.check(1)).clean).toBe(true);
    await staged.database.query('delete from parcels');
    const resumed = await staged.apply(1, { attempt: 3 });
    expect(resumed.outcome).toMatchObject({ how: 'resumed', unit: 3, attempt: 3 });
    expect(resumed.check).toMatchObject({ clean: true, reasons: [] });
    expect(await witnesses()).toEqual([1, 2, 3, 4]);
    expect(await locksOfOurs()).toEqual([]);
  });

  test.each([1, 2, 4])(
    'a session killed in segment %i of four is found dead, and a later attempt goes on there',
    async (at) => {
      const segments = [1, 2, 3, 4].map((k) => (k === at ? `${insert(k)} ${waitAt(k)}` : insert(k)));
      staged = await stage(one(chain(...segments)), { setup: SETUP });
      const gate = await closeGate(staged.database, at);
      const attempt = staged.apply(1).catch((error: unknown) => error);
      await terminate(staged.database, await gate.waiter());
      expect(await attempt).toMatchObject({ type: FailureType.StepInterrupted, details: { sqlstate: '57P01' } });
      await gate.open();
      expect(await witnesses()).toEqual([1, 2, 3, 4].slice(0, at - 1));
      const resumed = await staged.apply(1, { attempt: 2 });
      // The first segment carries the step's own row: nothing of it is left, and the step begins anew.
      expect(resumed.outcome).toMatchObject(at === 1 ? { how: 'ran' } : { how: 'resumed', unit: at });
      expect(resumed.check?.reasons).toEqual([]);
      expect(await witnesses()).toEqual([1, 2, 3, 4]);
    },
  );

  test('what the script had SET before is set again for the segments that are left', async () => {
    const note = `insert into witness values (1, current_setting('statement_timeout') || current_setting('search_path'));`;
    staged = await stage(
      one(chain(`set statement_timeout = '44s'; set search_path = public, pg_temp;`, `${waitAt(1)} ${note}`, note)),
      { setup: SETUP },
    );
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await terminate(staged.database, await gate.waiter());
    await attempt;
    await gate.open();
    await staged.apply(1, { attempt: 2 });
    expect(await staged.database.query('select what from witness')).toEqual([
      { what: '44spublic, pg_temp' },
      { what: '44spublic, pg_temp' },
    ]);
  });

  test('a temporary table that crosses a boundary parks after a death, naming it, and is left where it is', async () => {
    staged = await stage(
      one(chain(`create temp table kept as select 1 as at;`, `${waitAt(1)} insert into witness select at from kept;`)),
      { setup: SETUP },
    );
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1).catch((error: unknown) => error);
    await terminate(staged.database, await gate.waiter());
    await attempt;
    await gate.open();
    const parked = await staged.apply(1, { attempt: 2 }).catch((error: unknown) => error);
    expect(parked).toMatchObject({ type: FailureType.StepUndecided, details: { unit: 1, units: 2 } });
    expect(String(parked)).toContain('kept');
    expect(await witnesses()).toEqual([]);
  });

  test('a temporary table that crosses a boundary is no obstacle to an attempt that lives', async () => {
    staged = await stage(
      one(chain(`create temp table kept as select 1 as at;`, `insert into witness select at from kept;`)),
      { setup: SETUP },
    );
    expect((await staged.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
    expect(await witnesses()).toEqual([1]);
  });

  test('a role that the script takes holds in every segment, and the record is written as ourselves', async () => {
    staged = await stage(one('select 1'), { setup: SETUP });
    const { database } = staged;
    const role = `${database.name}_app`;
    await database.asSuperuser(
      `create role ${role}; grant ${role} to ${database.role}; grant insert on witness to ${role}`,
    );
    const text = chain(`set role ${role}; ${insert(1)}`, insert(2), insert(3));
    const second = await stage(one(text), { database });
    try {
      expect((await second.apply(1)).check).toMatchObject({ clean: true, reasons: [] });
      expect(await database.query('select what from witness')).toEqual([
        { what: role },
        { what: role },
        { what: role },
      ]);
    } finally {
      await second.instance.sessions.close();
      await database.asSuperuser(`drop owned by ${role}; drop role ${role}`);
    }
  });

  test('a new run takes up the step that an old one began, and goes on at its segment', async () => {
    const steps = one(chain(insert(1), `${insert(2)} insert into parcels values (1);`, insert(3)));
    staged = await stage(steps, { setup: `${SETUP} insert into parcels values (1);` });
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StepFailed });
    await staged.database.query('delete from parcels');
    const next = await staged.again(steps);
    expect(await next.check(1)).toMatchObject({ clean: true, reasons: [] });
    const resumed = await next.apply(1);
    expect(resumed.outcome).toMatchObject({ how: 'resumed', unit: 2 });
    expect(resumed.check).toMatchObject({ clean: true, reasons: [] });
    expect(await witnesses()).toEqual([1, 2, 3]);
    expect(await staged.database.query('select run, state from pgunwind.step')).toEqual([
      { run: next.run, state: 'done' },
    ]);
    await expect(staged.apply(1, { attempt: 3 })).rejects.toMatchObject({ type: FailureType.StaleAttempt });
  });

  test('a new run whose next step is another text leaves the half-done one alone and says so', async () => {
    staged = await stage(one(chain(insert(1), `insert into parcels values (1);`)), {
      setup: `${SETUP} insert into parcels values (1);`,
    });
    await expect(staged.apply(1)).rejects.toMatchObject({ type: FailureType.StepFailed });
    const next = await staged.again(one(chain(insert(7), insert(8))));
    const check = await next.check(1);
    expect(check.reasons.map((reason) => reason.code)).toContain('unfinishedStep');
    await expect(next.apply(1)).rejects.toMatchObject({ type: FailureType.DirtyDatabase });
    expect(await witnesses()).toEqual([1]);
  });

  test('a script that lets go of every advisory lock still runs alone', async () => {
    staged = await stage(
      one(
        chain(
          `do $$ begin execute 'select pg_' || 'advisory_unlock_all()'; end $$; ${insert(1)}`,
          `${insert(2)} ${waitAt(1)}`,
        ),
      ),
      {
        setup: SETUP,
      },
    );
    const gate = await closeGate(staged.database, 1);
    const attempt = staged.apply(1);
    await gate.waiter();
    const rival = await openClient(staged.database);
    const { classId, objId } = staged.instance.ledger.lockKey(staged.instance.ledgerOptions);
    const { rows } = await rival.query('select pg_try_advisory_lock($1, $2) as taken', [classId, objId]);
    expect(rows).toEqual([{ taken: false }]);
    await rival.end();
    await gate.open();
    expect((await attempt).outcome.how).toBe('ran');
  });
});

test('segments that undo part of themselves are known as ours, and those beside them cost no look at the catalogs', async () => {
  const inner = (name: string) => `do $$
begin
  create table ${name} (a integer);
  begin
    create table ${name}_undone (a integer);
    raise exception 'undo';
  exception when others then null;
  end;
end
$$`;
  staged = await stage([
    {
      migration: '10001',
      text: [inner('one'), 'create table two (a integer)', inner('three')].join(';\ncommit and chain;\n'),
    },
  ]);
  expect(staged.order(1).script.facts.countAfresh).toBe(true);
  const applied = await staged.apply(1);
  expect(applied.check).toMatchObject({ clean: true, reasons: [] });
  const [row] = await staged.database.query<{ own: number }>(`select cardinality(xids) as own from pgunwind.step`);
  // Three transactions; the inner blocks of the first and the last wrote one more id each that stayed visible to us.
  expect(row?.own).toBeGreaterThanOrEqual(3);
  expect(
    await staged.database.query(`select relname from pg_class where relname ~ '^(one|two|three)' order by 1`),
  ).toEqual([{ relname: 'one' }, { relname: 'three' }, { relname: 'two' }]);
});
