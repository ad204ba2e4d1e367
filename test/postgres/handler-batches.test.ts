import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { beginCalls, endCalls, noteAnswer, noteFailure } from '../../src/data/calls.js';
import type { DataContext } from '../../src/data/order.js';
import { endRun } from '../../src/journal/runs.js';
import { type DataStage, LETTERS, movedMoreThanOnce, planData, stageData } from '../support/data-stage.js';
import { expectNoLeaks, IN_THIS_DATABASE, withClient } from '../support/postgres.js';
import { until } from '../support/until.js';

// What a handler in code does in transactions of its own, from a client that knows nothing but SQL.

let staged: DataStage;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
});

const context = (more: Partial<DataContext> = {}): DataContext => ({
  tell: () => undefined,
  pause: (ms) => pause(ms),
  signal: new AbortController().signal,
  ...more,
});
const begin = (more: Partial<DataContext> = {}, attempt = 1) =>
  beginCalls(staged.instance, staged.dataOrder({ attempt }), context(more));
const note = (call: Partial<Parameters<typeof noteAnswer>[2]> = {}) =>
  noteAnswer(
    staged.instance,
    staged.dataOrder(),
    { own: true, batchesBefore: 0, cursor: null, rows: 0, progress: null, ...call },
    context(),
  );

const from = async (client: pg.Client, token = staged.token) =>
  (await client.query<{ at: string | null }>(`select pgunwind.batch_from($1, '7') as at`, [token])).rows[0]?.at ?? null;
const done = (client: pg.Client, at: string | null, cursor: string | null, rows: number, token = staged.token) =>
  client.query(`select pgunwind.batch_done($1, '7', $2, $3, $4)`, [token, at, cursor, rows]);

/** A hundred letters behind the cursor, each with a witness; not yet committed. */
async function moveHundred(client: pg.Client, at: string | null): Promise<string> {
  const { rows } = await client.query<{ last: string }>(
    `with moved as (
       update letters set text = lower(text) where id > coalesce($1::bigint, 0) and id <= coalesce($1::bigint, 0) + 100 returning id
     ), seen as (insert into witness (what) select id from moved)
     select max(id)::text as last from moved`,
    [at],
  );
  return rows[0]?.last as string;
}

async function batch(client: pg.Client): Promise<string> {
  await client.query('begin');
  const at = await from(client);
  const cursor = await moveHundred(client, at);
  await done(client, at, cursor, 100);
  await client.query('commit');
  return cursor;
}

/** SQLSTATE and words of what was refused, and the transaction rolled back. */
async function refused(client: pg.Client, work: () => Promise<unknown>): Promise<string> {
  const error = await work().then(
    () => null,
    (thrown: unknown) => thrown,
  );
  await client.query('rollback');
  if (!(error instanceof pg.DatabaseError)) throw new Error('it was not refused', { cause: error });
  return `${error.code}: ${error.message}`;
}

const inDatabase = <T>(work: (client: pg.Client) => Promise<T>) => withClient(staged.database.url, work);
const locks = (which: string) => staged.database.query(`select from pg_locks where ${which} and ${IN_THIS_DATABASE}`);
const anyWaits = async () => (await locks('not granted')).length > 0;
const row = async () =>
  (
    await staged.database.query(
      `select state, cursor, batches::int, rows::int, progress from pgunwind.data_step where id = '7'`,
    )
  )[0];

describe("a batch of the product's own", () => {
  test('is in the journal with its rows or not at all, and the next one begins behind it', async () => {
    staged = await stageData();
    expect(await begin()).toEqual({ kind: 'begun', position: { cursor: null, batches: 0, rows: 0 }, progress: null });
    await inDatabase(async (client) => {
      expect(await batch(client)).toBe('100');
      expect(await batch(client)).toBe('200');
      await client.query('begin');
      await done(client, await from(client), await moveHundred(client, '200'), 100);
      await client.query('rollback');
    });
    expect(await note({ progress: 0.8 })).toEqual({ cursor: '200', batches: 2, rows: 200 });
    expect(await row()).toEqual({ state: 'started', cursor: '200', batches: 2, rows: 200, progress: 0.8 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('of two attempts at one call the second begins behind the first: it waits for it, and repeats nothing', async () => {
    staged = await stageData();
    await begin();
    await inDatabase((first) =>
      inDatabase(async (second) => {
        await first.query('begin');
        const at = await from(first);
        await second.query('begin');
        const asked = from(second);
        await until(anyWaits, { describe: 'the second attempt to wait for the first' });
        await done(first, at, await moveHundred(first, at), 100);
        await first.query('commit');
        expect(await asked).toBe('100');
        await done(second, '100', await moveHundred(second, '100'), 100);
        await second.query('commit');
      }),
    );
    expect(await movedMoreThanOnce(staged)).toEqual([]);
    expect(await row()).toMatchObject({ cursor: '200', batches: 2 });
  });

  test('of attempts that wait for each other again and again none finds the locks of the one that has just ended', async () => {
    staged = await stageData();
    await begin();
    await inDatabase((one) =>
      inDatabase(async (other) => {
        let [first, second] = [one, other];
        await first.query('begin');
        let at = await from(first);
        for (let round = 0; round < 40; round++) {
          await second.query('begin');
          const asked = from(second);
          await until(anyWaits, { describe: 'the other attempt to wait', every: 2 });
          await done(first, at, String(round), 0);
          await first.query('commit');
          at = await asked;
          [first, second] = [second, first];
        }
        await first.query('rollback');
      }),
    );
    expect(await row()).toMatchObject({ cursor: '39', batches: 40 });
  });

  test('that begins where another has begun is refused, with its rows', async () => {
    staged = await stageData();
    await begin();
    await inDatabase(async (client) => {
      await batch(client);
      await client.query('begin');
      await moveHundred(client, null); // by the cursor of the call's input, which is old by now
      expect(await refused(client, () => done(client, null, '100', 100))).toBe(
        'UW008: a batch that begins at this cursor has been done already',
      );
    });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
    expect(await row()).toMatchObject({ cursor: '100', batches: 1 });
  });

  test.each([
    ['another claim', () => staged.claim()],
    ['no claim at all, as in a pause', () => staged.database.query('update pgunwind.fence set token = null')],
  ])('of a call that is over is refused: there is %s', async (_, end) => {
    staged = await stageData();
    await begin();
    const { token } = staged;
    await end();
    await inDatabase(async (client) => {
      for (const work of [() => from(client, token), () => done(client, null, '100', 100, token)]) {
        await client.query('begin');
        await moveHundred(client, null);
        expect(await refused(client, work)).toBe('UW005: this call is over: its token is not that of the newest claim');
      }
    });
    expect(await staged.database.query('select what from witness')).toEqual([]);
  });

  test('is refused with a cursor that is too long to travel with each call', async () => {
    staged = await stageData();
    await begin();
    await inDatabase(async (client) => {
      await client.query('begin');
      await moveHundred(client, null);
      expect(await refused(client, () => done(client, null, 'x'.repeat(2_001), 100))).toBe(
        'UW006: a cursor of 2001 characters',
      );
    });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
    expect(await row()).toMatchObject({ cursor: null, batches: 0 });
  });

  test('is refused once the data migration is done, and where none was begun', async () => {
    staged = await stageData();
    await inDatabase(async (client) => {
      const asked = async () => {
        await client.query('begin');
        return refused(client, () => from(client));
      };
      expect(await asked()).toBe('UW006: data migration 7 is not under way');
      await begin();
      await endCalls(staged.instance, staged.dataOrder(), 0);
      expect(await asked()).toBe('UW006: data migration 7 is not under way');
      await client.query('begin');
      expect(await refused(client, () => done(client, null, null, -1))).toContain('UW006');
    });
  });

  test('takes both migration locks for its transaction, and is refused while somebody else holds one', async () => {
    staged = await stageData();
    await begin();
    const { ledger, ledgerOptions } = staged.instance;
    const product = ledger.lockKey(ledgerOptions);
    await inDatabase((client) =>
      inDatabase(async (other) => {
        const free = async (key: readonly number[]) =>
          (await other.query<{ free: boolean }>('select pg_try_advisory_lock($1, $2) as free', [...key])).rows[0]?.free;
        const keys = [
          [1_885_828_462, 0],
          [product.classId, product.objId],
        ] as const;
        await client.query('begin');
        await from(client);
        for (const key of keys) expect(await free(key)).toBe(false);
        await client.query('commit');
        for (const key of keys) {
          expect(await free(key)).toBe(true);
          await client.query('begin');
          expect(await refused(client, () => from(client))).toBe('UW001: another session holds the migration lock');
          await other.query('select pg_advisory_unlock_all()');
        }
      }),
    );
  });

  test('that hangs in its transaction is ended by the next claim, and none of it takes effect', async () => {
    staged = await stageData();
    await begin();
    await inDatabase(async (client) => {
      await client.query('begin');
      const at = await from(client);
      await done(client, at, await moveHundred(client, at), 100);
      await staged.claim();
      await expect(client.query('commit')).rejects.toThrow();
    });
    expect(await row()).toMatchObject({ cursor: null, batches: 0 });
    expect(await staged.database.query('select what from witness')).toEqual([]);
  });
});

describe('between the calls', () => {
  test('no lock is held, and whoever begins again is told where the journal is', async () => {
    staged = await stageData();
    await begin();
    expect(await locks(`locktype = 'advisory'`)).toEqual([]);
    await inDatabase(batch);
    expect(await begin({}, 2)).toMatchObject({ kind: 'begun', position: { cursor: '100', batches: 1, rows: 100 } });
  });

  test('a call that is noted twice is counted once, where the handler does not record its batches', async () => {
    staged = await stageData();
    await begin();
    const call = { own: false, batchesBefore: 0, cursor: 'k', rows: 40, progress: 0.9 };
    expect(await note(call)).toEqual({ cursor: 'k', batches: 1, rows: 40 });
    expect(await note(call)).toEqual({ cursor: 'k', batches: 1, rows: 40 });
    expect(await note({ ...call, batchesBefore: 1, cursor: 'm' })).toEqual({ cursor: 'm', batches: 2, rows: 80 });
  });

  test('an older claim notes nothing and ends nothing', async () => {
    staged = await stageData();
    await begin();
    const older = staged.dataOrder();
    await staged.claim();
    const call = { own: false, batchesBefore: 0, cursor: 'k', rows: 40, progress: 0.9 };
    await expect(noteAnswer(staged.instance, older, call, context())).rejects.toMatchObject({ type: 'StaleAttempt' });
    await expect(endCalls(staged.instance, older, 0)).rejects.toMatchObject({ type: 'StaleAttempt' });
    expect(await row()).toMatchObject({ state: 'started', batches: 0 });
  });

  test('the end that is told twice is one end', async () => {
    staged = await stageData();
    await begin();
    await inDatabase(batch);
    const first = await endCalls(staged.instance, staged.dataOrder(), 0);
    expect(first).toMatchObject({ how: 'ran', batches: 1, rows: 100, progress: 0 });
    expect(await endCalls(staged.instance, staged.dataOrder(), 0)).toEqual({ ...first, how: 'foundDone' });
    expect(await begin()).toMatchObject({ kind: 'done', outcome: { how: 'foundDone', rows: 100 } });
  });

  test('a call that has failed for good is written down for people', async () => {
    staged = await stageData();
    await begin();
    await inDatabase(batch);
    await noteFailure(staged.instance, staged.dataOrder(), 100, 'The activity "seal" failed: NoKey');
    expect(
      await staged.database.query('select data, cursor, size, sqlstate, message from pgunwind.data_failure'),
    ).toEqual([{ data: '7', cursor: '100', size: 100, sqlstate: null, message: 'The activity "seal" failed: NoKey' }]);
  });

  test('the load of the server holds the next call up', async () => {
    staged = await stageData(
      {},
      { setup: `${LETTERS(100)} create table load (now integer); insert into load values (9)` },
    );
    const told: string[] = [];
    const limits = { maxLoad: { query: 'select now from load', limit: 5 } };
    const began = begin({
      limits,
      tell: ({ doing }) => void told.push(doing),
      pause: async (ms) => {
        await staged.database.query('update load set now = 1');
        await pause(Math.min(ms, 10));
      },
    });
    expect(await began).toMatchObject({ kind: 'begun' });
    expect(told.join()).toContain('the load is 9, more than 5');
  });

  test('a run that goes down again, with the same activity, begins where the one before it was ended', async () => {
    staged = await stageData();
    await staged.database.query(`update pgunwind.plan_data set batch = 'seal on shop-data'`);
    await begin();
    await inDatabase(batch);
    await staged.instance.sessions.withSession(({ client }) => endRun(client, staged.run, 'aborted'));
    const next = await staged.again([]);
    await planData(next, 'reverse', 'seal on shop-data');
    const order = { ...staged.dataOrder(), run: next.run, token: next.token };
    expect(await beginCalls(staged.instance, order, context())).toMatchObject({
      kind: 'begun',
      position: { cursor: '100', batches: 0, rows: 0 },
    });
  });
});
