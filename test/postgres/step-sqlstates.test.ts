import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FailureType, UnwindError } from '../../src/contract/errors.js';
import {
  CANCELED,
  CONNECTION_LOST,
  DATA_CLASSES,
  LOCK_NOT_AVAILABLE,
  PERMISSION,
  RESOURCES,
  SERIALIZATION,
  SYNTAX_CLASS,
} from '../../src/postgres/sqlstate.js';
import { stage, type Stage } from '../support/stage.js';

/** One of each class whose members all mean the same for a step. */
const OF_THE_SYNTAX_CLASS = ['42601', '42P01', '42703', '42804', '42883'];
const OF_THE_DATA_CLASSES = ['22012', '23502', '23503', '23505', '21000', '44000'];
/** What no set names: nobody can say that a repeat would help. */
const NAMELESS = ['0A000', '25001', '2BP01', '3F000', '54001', '55000', 'P0001', 'P0002', 'XX000', 'XX001'];

const AGAIN: readonly (readonly [kind: string, codes: readonly string[]])[] = [
  ['connectionLost', [...CONNECTION_LOST]],
  ['lockNotAvailable', [...LOCK_NOT_AVAILABLE]],
  ['serialization', [...SERIALIZATION]],
  ['resources', [...RESOURCES]],
  ['canceled', [...CANCELED]],
];
const PARKS: readonly (readonly [kind: string, codes: readonly string[]])[] = [
  ['permission', [...PERMISSION]],
  ['syntax', OF_THE_SYNTAX_CLASS],
  ['data', OF_THE_DATA_CLASSES],
  ['other', NAMELESS],
];
const each = (sets: typeof AGAIN) => sets.flatMap(([kind, codes]) => codes.map((code) => [code, kind] as const));

/** Raises what the table `wanted` says: one step for all codes, since none of them lets it take effect. */
const RAISE = `insert into witness values ('ran');
do $$ begin raise exception using errcode = (select code from wanted), message = 'row-of-somebody'; end $$`;

let staged: Stage;
let attempt = 0;
beforeAll(async () => {
  const setup = 'create table witness (what text); create table wanted (code text); insert into wanted values (null);';
  staged = await stage([{ migration: '1', text: RAISE }], { setup });
});
afterAll(() => staged.close());

async function failureAt(sqlstate: string): Promise<UnwindError> {
  await staged.database.query('update wanted set code = $1', [sqlstate]);
  attempt += 1;
  const thrown: unknown = await staged.apply(1, { attempt }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(UnwindError);
  expect(String(thrown), 'the words of the server stay in the journal').not.toContain('row-of-somebody');
  expect(await staged.database.query('select from witness'), 'rolled back whole').toEqual([]);
  return thrown as UnwindError;
}

describe('a script that fails with a SQLSTATE', () => {
  test.each(each(AGAIN))('%s (%s) is tried again', async (code, kind) => {
    const failure = await failureAt(code);
    expect(failure).toMatchObject({
      type: FailureType.StepInterrupted,
      retryable: true,
      details: { sqlstate: code, kind },
    });
  });

  test.each(each(PARKS))('%s (%s) parks', async (code, kind) => {
    const failure = await failureAt(code);
    expect(failure).toMatchObject({
      type: FailureType.StepFailed,
      retryable: false,
      details: { sqlstate: code, kind, statement: 2 },
    });
  });

  test('the journal has the words of each of them', async () => {
    const rows = await staged.database.query<{ sqlstate: string }>(
      `select sqlstate from pgunwind.failure where message = 'row-of-somebody' order by at`,
    );
    expect(rows.map(({ sqlstate }) => sqlstate)).toEqual([...each(AGAIN), ...each(PARKS)].map(([code]) => code));
  });

  test('the sets have no code in common, and name nothing of the classes that park', () => {
    const all = [...CONNECTION_LOST, ...LOCK_NOT_AVAILABLE, ...SERIALIZATION, ...RESOURCES, ...CANCELED, ...PERMISSION];
    expect(new Set(all).size).toBe(all.length);
    for (const [, codes] of AGAIN) {
      for (const code of codes) expect([SYNTAX_CLASS, ...DATA_CLASSES]).not.toContain(code.slice(0, 2));
    }
  });
});
