import type pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import type { DirtyReason } from '../../src/contract/dirty.js';
import { FailureType } from '../../src/contract/errors.js';
import type { LedgerTreatment } from '../../src/contract/messages.js';
import { verdictFrom } from '../../src/step/dirty-check.js';
import { acceptDirty, skipStep } from '../../src/step/overrule.js';
import { closeGate, openClient, waitAt } from '../support/gate.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage, type StagedStep } from '../support/stage.js';

let staged: Stage;
const clients: pg.Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.end();
  await expectNoLeaks(staged.database);
  await staged.close();
});

const SETUP = `create table parcels (id bigint primary key, weight integer);
  insert into parcels values (1, 1), (2, 1)`;
const THREE: StagedStep[] = [
  { migration: '10003', text: 'alter table parcels add column height integer' },
  { migration: '10002', text: 'alter table parcels drop column height' },
  { migration: '10001', text: 'create table letters (id bigint)' },
];

const said = { by: 'ann', why: 'OPS-1182', plan: 'p', at: '2026-11-23T03:00:00.000Z' };

async function reasonsNow(nextSeq: number): Promise<readonly DirtyReason[]> {
  return verdictFrom(await staged.check(nextSeq), 'frontend').reasons;
}

async function shownNow(nextSeq: number, code: string): Promise<DirtyReason> {
  const shown = (await reasonsNow(nextSeq)).find((reason) => reason.code === code);
  if (shown === undefined) throw new Error(`no ${code} is found`);
  return shown;
}

const accept = (shown: DirtyReason, options: { token?: string; at?: string; leg?: number } = {}) =>
  acceptDirty(staged.instance, { ...said, run: staged.run, token: staged.token, leg: null, ...options, shown });

const decisions = () =>
  staged.database.query('select kind, decided_by, why, details from pgunwind.decision order by id');

describe('what others have changed', () => {
  test('is accepted as it was shown, with the decision; the next steps go on from there', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('alter table parcels add column stray text');
    const shown = await shownNow(2, 'changedByOthers');
    await accept(shown);
    expect(await reasonsNow(2)).toEqual([]);
    expect(await decisions()).toEqual([
      {
        kind: 'acceptDirty',
        decided_by: 'ann',
        why: 'OPS-1182',
        details: { code: 'changedByOthers', evidence: shown.evidence, database: 'frontend' },
      },
    ]);
    await staged.apply(2);
    await staged.apply(3);
    expect(await reasonsNow(4)).toEqual([]);
  });

  test('a second change is not accepted with the first, neither before nor after', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('create view heavy as select id from parcels');
    const shown = await shownNow(2, 'changedByOthers');
    await staged.database.query('create view light as select id from parcels');
    await expect(accept(shown)).rejects.toMatchObject({
      type: FailureType.DirtyDatabase,
      message: expect.stringContaining('It has changed since it was shown'),
      details: { reasons: [expect.objectContaining({ evidence: expect.stringContaining('light') })] },
    });
    expect(await decisions()).toEqual([]);
    expect((await reasonsNow(2)).map(({ code }) => code)).toEqual(['changedByOthers']);
    await accept(await shownNow(2, 'changedByOthers'));
    await staged.database.query('create view third as select id from parcels');
    expect((await shownNow(2, 'changedByOthers')).evidence).toContain('third');
    expect((await shownNow(2, 'changedByOthers')).evidence).not.toContain('heavy');
    await expect(staged.apply(2)).rejects.toMatchObject({ type: FailureType.DirtyDatabase });
  });

  test('the same object changed once more is another finding, though it has the same words', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('alter table parcels set (fillfactor = 50)');
    const shown = await shownNow(2, 'changedByOthers');
    await staged.database.query('alter table parcels set (fillfactor = 60)');
    expect((await shownNow(2, 'changedByOthers')).evidence).toBe(shown.evidence);
    await expect(accept(shown)).rejects.toMatchObject({ message: expect.stringContaining('It has changed') });
  });

  test('what only drops is accepted too, and a later drop is found', async () => {
    staged = await stage(THREE, { setup: `${SETUP}; create table a (id integer); create table b (id integer)` });
    await staged.apply(1);
    await staged.database.query('drop table a');
    await accept(await shownNow(2, 'changedByOthers'));
    expect(await reasonsNow(2)).toEqual([]);
    await staged.database.query('drop table b');
    await accept(await shownNow(2, 'changedByOthers'), { at: '2026-11-23T03:01:00.000Z' });
    await staged.apply(2);
    expect(await reasonsNow(3)).toEqual([]);
  });

  test('a claim that is not the newest accepts nothing', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('create view heavy as select id from parcels');
    const shown = await shownNow(2, 'changedByOthers');
    const { token } = staged;
    await staged.claim();
    await expect(accept(shown, { token })).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    expect(await decisions()).toEqual([]);
  });

  test('while another session holds the lock nothing is accepted', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('create view heavy as select id from parcels');
    const shown = await shownNow(2, 'changedByOthers');
    const other = await openClient(staged.database);
    clients.push(other);
    await other.query('select pg_advisory_lock(1885828462, 0)');
    await expect(accept(shown)).rejects.toMatchObject({ type: FailureType.InstanceBusy });
  });

  test('a repeat after a lost answer finds the decision and does nothing', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('create view heavy as select id from parcels');
    const shown = await shownNow(2, 'changedByOthers');
    await accept(shown);
    await accept(shown);
    expect(await decisions()).toHaveLength(1);
  });

  test('what is not there any more is not accepted', async () => {
    staged = await stage(THREE, { setup: SETUP });
    await staged.apply(1);
    await staged.database.query('create view heavy as select id from parcels');
    const shown = await shownNow(2, 'changedByOthers');
    await staged.database.query('drop view heavy');
    await expect(accept(shown)).rejects.toMatchObject({ message: expect.stringContaining('It is not there any more') });
  });
});

test('named invalid indexes are accepted; another one that becomes invalid is found', async () => {
  staged = await stage(THREE, { setup: SETUP });
  const spoil = (name: string) =>
    staged.database.query(`create unique index concurrently ${name} on parcels (weight)`).catch(() => undefined);
  await spoil('first_one');
  const shown = await shownNow(1, 'invalidIndex');
  await accept(shown);
  expect(await reasonsNow(1)).toEqual([]);
  await spoil('second_one');
  const next = await shownNow(1, 'invalidIndex');
  expect(next.evidence).toContain('second_one');
  expect(next.evidence).not.toContain('first_one');
  await expect(accept(shown, { at: '2026-11-23T03:01:00.000Z' })).rejects.toMatchObject({
    message: expect.stringContaining('It has changed'),
  });
});

describe('a step that an operator takes over', () => {
  const skip = (seq: number, ledger: LedgerTreatment, token = staged.token) => {
    const { migration, direction, script } = staged.order(seq);
    const order = { ...said, run: staged.run, token, seq, migration, direction, script: script.sha256, ledger };
    return skipStep(staged.instance, order);
  };
  const BROKEN: StagedStep[] = [
    { migration: '10003', text: 'alter table parcels add column height integer' },
    { migration: '10002', text: 'alter table parcels drop column nowhere' },
    { migration: '10001', text: 'create table letters (id bigint)' },
  ];
  const ledger = (migration: string) =>
    staged.database.query(`select pgunwind.ledger_state('${migration}') as state`).then(([row]) => row?.['state']);

  test('is done without having run; "record" writes the ledger, and what was mended by hand is no dirt', async () => {
    staged = await stage(BROKEN, { setup: SETUP });
    await staged.apply(1);
    await expect(staged.apply(2)).rejects.toMatchObject({ type: FailureType.StepFailed });
    await staged.database.query('alter table parcels drop column height');
    await skip(2, 'record');
    expect(await ledger('10002')).toBe('absent');
    expect(await staged.database.query('select state, result from pgunwind.step where seq = 2')).toEqual([
      {
        state: 'done',
        result: expect.objectContaining({ how: 'skipped', by: 'ann', why: 'OPS-1182', ledger: 'record' }),
      },
    ]);
    expect(await decisions()).toEqual([
      expect.objectContaining({ kind: 'skipStep', details: expect.objectContaining({ seq: 2, migration: '10002' }) }),
    ]);
    expect((await staged.apply(2)).outcome.how).toBe('foundDone');
    expect(await reasonsNow(3)).toEqual([]);
    await staged.apply(3);
    await staged.database.query('create view heavy as select id from parcels');
    expect((await reasonsNow(4)).map(({ code }) => code)).toEqual(['changedByOthers']);
  });

  test('"keep" is refused until the ledger says what it must after the step', async () => {
    staged = await stage(BROKEN, { setup: SETUP });
    await staged.apply(1);
    await expect(skip(2, 'keep')).rejects.toMatchObject({
      type: FailureType.DirtyDatabase,
      message: expect.stringContaining('says "applied" of 10002, and after this step it must say "absent"'),
    });
    expect(await decisions()).toEqual([]);
    await staged.database.query(`select pgunwind.ledger_end('10002', false, now(), null)`);
    await skip(2, 'keep');
    expect(
      await staged.database.query('select count(*)::int as rows from migration_logs where version = 10002'),
    ).toEqual([{ rows: 2 }]);
    expect(await reasonsNow(3)).toEqual([]);
  });

  test('what comes after it is found by the next check', async () => {
    staged = await stage(BROKEN, { setup: SETUP });
    await staged.apply(1);
    await skip(2, 'record');
    await staged.database.query('alter table parcels add column stray text');
    expect((await shownNow(3, 'changedByOthers')).evidence).toContain('parcels.stray');
  });

  test('with its remaining parts, where it is half done: its pending ledger row is settled', async () => {
    const halfDone: StagedStep = {
      migration: '10002',
      text: `alter table parcels add column depth integer;
commit and chain;
alter table parcels drop column nowhere`,
    };
    staged = await stage([BROKEN[0] as StagedStep, halfDone, BROKEN[2] as StagedStep], { setup: SETUP });
    await staged.apply(1);
    await expect(staged.apply(2)).rejects.toMatchObject({ type: FailureType.StepFailed });
    expect(await staged.database.query('select state, unit from pgunwind.step where seq = 2')).toEqual([
      { state: 'started', unit: 1 },
    ]);
    expect(await ledger('10002')).toBe('down-running');
    await expect(skip(2, 'keep')).rejects.toMatchObject({ message: expect.stringContaining('"down-running"') });
    await skip(2, 'record');
    expect(await ledger('10002')).toBe('absent');
    expect(await staged.database.query('select success from migration_logs where version = 10002 and not up')).toEqual([
      { success: true },
    ]);
    expect(await reasonsNow(3)).toEqual([]);
    await staged.apply(3);
    expect(await reasonsNow(4)).toEqual([]);
  });

  test('that is not the next one, or with a claim that is not the newest, stays as it is', async () => {
    staged = await stage(BROKEN, { setup: SETUP });
    await expect(skip(2, 'record')).rejects.toMatchObject({ type: FailureType.JournalBehind });
    const { token } = staged;
    await staged.claim();
    await expect(skip(1, 'record', token)).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    expect(await staged.database.query('select seq from pgunwind.step')).toEqual([]);
    expect(await decisions()).toEqual([]);
  });

  test('a step that is running is left alone', async () => {
    staged = await stage([{ migration: '10003', text: `${waitAt(1)} alter table parcels add column height integer` }], {
      setup: SETUP,
    });
    const gate = await closeGate(staged.database, 1);
    const running = staged.apply(1);
    running.catch(() => undefined);
    await gate.waiter();
    await expect(skip(1, 'record')).rejects.toMatchObject({ type: FailureType.InstanceBusy });
    await gate.open();
    expect((await running).outcome.how).toBe('ran');
  });
});
