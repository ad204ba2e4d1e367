import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import { stage, type Stage } from '../support/stage.js';

let staged: Stage;
afterEach(() => staged?.close());

const SETUP = `create table witness (what text); create table parcels (id bigint primary key, weight integer);`;
const DROP_WEIGHT = `alter table parcels drop column weight;\ninsert into witness values ('weight')`;
const DROP_TABLE = `insert into witness values ('table');\ndrop table parcels; -- the end`;

describe('an atomic step', () => {
  test('changes schema, ledger and journal together, and its check rides behind the commit', async () => {
    staged = await stage(
      [
        { migration: '10002', text: DROP_WEIGHT },
        { migration: '10001', text: DROP_TABLE },
      ],
      { setup: SETUP },
    );
    const first = await staged.apply(1);
    expect(first.outcome).toMatchObject({ how: 'ran', attempt: 1, notices: 0 });
    expect(first.check).toMatchObject({ clean: true, nextSeq: 2 });
    expect(first.check?.how).toMatch(/quiet|counted/);
    const second = await staged.apply(2, { check: first.check });
    expect(second.check).toMatchObject({ clean: true, reasons: [] });
    expect(await staged.database.query('select what from witness')).toEqual([{ what: 'weight' }, { what: 'table' }]);
    expect(await staged.database.query('select pgunwind.ledger_applied() as ids')).toEqual([{ ids: [] }]);
    const rows = await staged.database.query(
      'select version, up, success, finished_at is not null as ended from migration_logs order by id',
    );
    expect(rows.slice(2)).toEqual([
      { version: 10002, up: false, success: true, ended: true },
      { version: 10001, up: false, success: true, ended: true },
    ]);
  });

  test('a repeat after a committed step returns the recorded outcome and runs no SQL', async () => {
    staged = await stage([{ migration: '10002', text: DROP_WEIGHT }], { setup: SETUP });
    await staged.apply(1);
    const again = await staged.apply(1, { attempt: 2 });
    expect(again.outcome).toMatchObject({ how: 'foundDone', attempt: 1 });
    expect(await staged.database.query('select what from witness')).toHaveLength(1);
  });

  test('an error rolls it back whole, names no row, and a later attempt succeeds', async () => {
    staged = await stage(
      [
        {
          migration: '10002',
          text: `insert into witness values ('a');\nalter table parcels alter column weight set not null`,
        },
      ],
      {
        setup: `${SETUP} insert into parcels values (4711, null);`,
      },
    );
    const failure = await staged.apply(1).catch((error: unknown) => error);
    expect(failure).toMatchObject({ type: FailureType.StepFailed, details: { sqlstate: '23502', statement: 2 } });
    expect(String(failure)).not.toContain('4711');
    expect(await staged.database.query('select what from witness')).toEqual([]);
    expect(await staged.database.query('select sqlstate, statement from pgunwind.failure')).toEqual([
      { sqlstate: '23502', statement: 2 },
    ]);
    await staged.database.query('update parcels set weight = 1');
    expect((await staged.apply(1, { attempt: 2 })).outcome.how).toBe('ran');
  });

  test('an older token is refused before the script is analysed', async () => {
    staged = await stage([{ migration: '10002', text: 'select no_such_function()' }], { setup: SETUP });
    const old = staged.token;
    await staged.claim();
    await expect(staged.apply(1, { token: old })).rejects.toMatchObject({ type: FailureType.StaleAttempt });
  });

  test('a step whose predecessor is not done is refused', async () => {
    staged = await stage(
      [
        { migration: '10002', text: DROP_WEIGHT },
        { migration: '10001', text: DROP_TABLE },
      ],
      { setup: SETUP },
    );
    await expect(staged.apply(2)).rejects.toMatchObject({ type: FailureType.JournalBehind });
  });
});
