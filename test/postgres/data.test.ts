import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { FailureType } from '../../src/contract/errors.js';
import type { DataQueries } from '../../src/data/order.js';
import { runData } from '../../src/data/run-data.js';
import { KEYSET, LETTERS, movedMoreThanOnce, planData, stageData, type DataStage } from '../support/data-stage.js';
import { expectNoLeaks, serverUrl, withClient } from '../support/postgres.js';
import { until } from '../support/until.js';
import { startProxy, type Proxy } from '../support/wire-proxy.js';

let staged: DataStage;
let proxy: Proxy | null = null;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
  await proxy?.close();
  proxy = null;
});

const journal = async () =>
  (await staged.database.query(
    `select state, cursor, batches::int, rows::int, first_progress, progress from pgunwind.data_step`,
  )) as unknown[];

describe('a data migration', () => {
  // Ten batches, and one that finds nothing more.
  test('moves every row once, in batches, and ends where its data says so', async () => {
    staged = await stageData();
    const outcome = await staged.run1({ limits: { firstRows: 100, mostRows: 100 } });
    expect(outcome).toMatchObject({ how: 'ran', batches: 11, rows: 1_000, progress: 0, attempt: 1 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
    expect(await journal()).toEqual([
      { state: 'done', cursor: null, batches: 11, rows: 1_000, first_progress: 1, progress: 0 },
    ]);
    expect(staged.beats.at(-1)).toMatchObject({ batches: 11, rows: 1_000, batchRows: 100 });
  });

  test('that is done answers from the journal, and asks its data nothing', async () => {
    staged = await stageData();
    await staged.run1();
    const again = await staged.run1({
      order: { queries: { progress: 'select 1 / 0', batch: 'select', verify: null } },
    });
    expect(again).toMatchObject({ how: 'foundDone', rows: 1_000, progress: 0 });
  });

  test('that is at its end already does no batch', async () => {
    staged = await stageData({}, { act: 'forward' });
    expect(await staged.run1({ order: { queries: { ...KEYSET, verify: null } } })).toMatchObject({
      how: 'ran',
      batches: 0,
      progress: 1,
    });
  });

  test.each(['forward', 'reverse'] as const)(
    '%s, whose table is empty, is at its end: its progress is null',
    async (act) => {
      const progress = 'select avg((text = upper(text))::integer) from letters';
      staged = await stageData({ progress, verify: null }, { act, setup: LETTERS(0) });
      expect(await staged.run1()).toMatchObject({ how: 'ran', batches: 0, progress: act === 'forward' ? 1 : 0 });
    },
  );

  test('that leaves rows to a second pass begins at the beginning again', async () => {
    // Takes every second letter only; the pass after it takes the rest.
    const batch = KEYSET.batch.replace(
      'order by id limit $1',
      `and (id % 2 = 0 or not exists (select from letters e where e.id % 2 = 0 and e.text = upper(e.text))) order by id limit $1`,
    );
    staged = await stageData({ batch });
    expect(await staged.run1({ limits: { firstRows: 200, mostRows: 200 } })).toMatchObject({
      rows: 1_000,
      progress: 0,
    });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('that goes on near its end finds what was made behind it, in another pass, and does not call that a stall', async () => {
    staged = await stageData();
    const stop = new AbortController();
    const first = staged.run1({
      signal: stop.signal,
      limits: { firstRows: 1_000 },
      tell: ({ rows }) => rows >= 1_000 && stop.abort(),
      order: { queries: { ...KEYSET, progress: 'select 0.5' } },
    });
    await expect(first).rejects.toThrow();
    expect(await journal()).toMatchObject([{ state: 'started', cursor: '1000' }]);
    await staged.database.query('update letters set text = upper(text) where id <= 10; delete from witness');
    expect(await staged.run1({ order: { attempt: 2 } })).toMatchObject({ how: 'resumed', rows: 1_010, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('without a cursor goes on until nothing is left', async () => {
    const batch = `with batch as (select id from letters where text = upper(text) limit $1 for update),
      moved as (update letters l set text = lower(text) from batch b where l.id = b.id returning l.id),
      seen as (insert into witness (what) select id from moved returning 1)
      select count(*) as rows, null as cursor from seen where $2::text is null`;
    staged = await stageData({ batch });
    expect(await staged.run1({ limits: { firstRows: 300 } })).toMatchObject({ rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('whose keys have forty rows each goes on where the batches have shrunk to one key', async () => {
    const batch = `with moved as (
        update letters set text = lower(text)
         where text = upper(text) and (id - 1) / 40 between coalesce($2::bigint, 0) and coalesce($2::bigint, 0) + $1 - 1
        returning id
      ), seen as (insert into witness (what) select id from moved returning 1)
      select count(*) as rows, nullif(least(coalesce($2::bigint, 0) + $1, 25), 25) as cursor from seen`;
    staged = await stageData({ batch });
    expect(await staged.run1({ limits: { firstRows: 1, mostRows: 1 } })).toMatchObject({ rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('that does not use $2 at all works too', async () => {
    const batch = `with batch as (select id from letters where text = upper(text) limit $1 for update),
      moved as (update letters l set text = lower(text) from batch b where l.id = b.id returning l.id),
      seen as (insert into witness (what) select id from moved returning 1)
      select count(*) as rows, null as cursor from seen -- without $2`;
    staged = await stageData({ batch });
    expect(await staged.run1({ limits: { firstRows: 300 } })).toMatchObject({ rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });
});

describe('a death in the middle', () => {
  test.each(['before the batch', 'in the batch', 'before the commit', 'after the commit'] as const)(
    '%s: a later attempt goes on there, and no row is moved twice',
    async (where) => {
      proxy = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
      const through = proxy;
      staged = await stageData({}, { via: (url) => through.url(url) });
      let seen = 0;
      const text = where.includes('commit') ? 'end_batch' : where === 'in the batch' ? 'with batch' : 'begin_batch';
      let armed = false;
      const held = proxy.hold({
        database: staged.database.name,
        when: (message) => {
          if (armed) return message.side === 'server';
          if (message.side !== 'client' || !message.text.includes(text)) return false;
          seen += 1;
          if (seen < 4) return false;
          armed = where === 'after the commit';
          return !armed;
        },
      });
      const attempt = staged.run1({ limits: { firstRows: 100, mostRows: 100 } });
      await Promise.race([until(() => held.isReached(), { describe: `a batch ${where}` }), attempt]);
      proxy.cut();
      held.drop();
      await expect(attempt).rejects.toThrow();
      const again = await staged.run1({ order: { attempt: 2 }, limits: { firstRows: 100, mostRows: 100 } });
      expect(again).toMatchObject({ how: 'resumed', batches: 11, rows: 1_000, progress: 0, attempt: 2 });
      expect(await movedMoreThanOnce(staged)).toEqual([]);
    },
  );

  test.each(['begin_batch', 'end_batch'] as const)(
    'at %s the path goes silent: the attempt ends within seconds, and the next one moves no row twice',
    async (message) => {
      proxy = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
      const through = proxy;
      staged = await stageData({}, { via: (url) => through.url(url) });
      const answer = proxy.hold({
        database: staged.database.name,
        when: ({ side, text }) => side === 'client' && text.includes(message),
      });
      const attempt = staged.run1({ limits: { firstRows: 100, mostRows: 100 } }).catch((error: unknown) => error);
      await until(() => answer.isReached(), { describe: `the message with ${message}` });
      proxy.silence();
      const began = performance.now();
      expect(await attempt).toMatchObject({ type: FailureType.DatabaseUnreachable, retryable: true });
      expect(performance.now() - began).toBeLessThan(15_000); // the limit of a query is 30 s
      const again = await staged.run1({ order: { attempt: 2 }, limits: { firstRows: 100, mostRows: 100 } });
      expect(again).toMatchObject({ rows: 1_000, progress: 0 });
      expect(await movedMoreThanOnce(staged)).toEqual([]);
    },
  );

  test.each([
    ['of the same text goes on behind the last batch of a run that was ended', 'reverse', 'a hash', 600],
    ['of another text begins at the beginning', 'reverse', 'another hash', 1_000],
    ['in the other direction begins at the beginning', 'forward', 'a hash', 1_000],
  ] as const)('a new run %s', async (_, act, batch, rows) => {
    // Takes whatever comes, moved or not: only the cursor keeps it from moving a row twice.
    const careless = KEYSET.batch.replace(' and l.text = upper(l.text)', '');
    staged = await stageData({ batch: careless });
    const stop = new AbortController();
    const first = staged.run1({
      signal: stop.signal,
      limits: { firstRows: 100, mostRows: 100 },
      tell: ({ rows: so }) => so >= 400 && stop.abort(),
    });
    await expect(first).rejects.toThrow();
    const [done] = await staged.database.query<{ rows: number }>('select rows::int from pgunwind.data_step');
    expect(done).toEqual({ rows: 400 });

    const next = await staged.again([]);
    await planData(next, act, batch);
    const progress = `select ${act === 'forward' ? 'count(*) = 0' : 'count(*) > 0'} from letters where text = upper(text)`;
    const asked = { progress: `select (${progress})::integer`, batch: careless, verify: null };
    const order = { ...staged.dataOrder(), run: next.run, token: next.token, act, queries: asked };
    const waits = { tell: () => undefined, pause: (ms: number) => sleep(ms), signal: new AbortController().signal };
    expect(await runData(next.instance, order, { ...waits, limits: { firstRows: 100, mostRows: 100 } })).toMatchObject({
      rows,
    });
    if (rows === 600) expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('an older claim commits no batch any more', async () => {
    staged = await stageData();
    const stale = staged.token;
    const first = staged.dataOrder();
    await staged.claim();
    await expect(staged.run1({ order: { token: stale } })).rejects.toMatchObject({ type: FailureType.StaleAttempt });
    expect(first.token).toBe(stale);
    expect(await staged.database.query('select from witness')).toEqual([]);
  });
});

describe('what a query answers', () => {
  const failing: readonly [string, Partial<DataQueries>, RegExp][] = [
    ['a progress above 1', { progress: 'select 1.5' }, /"progress".*no number from 0 to 1/],
    ['a progress below 0', { progress: 'select -0.1' }, /"progress".*no number from 0 to 1/],
    ['a progress that is a word', { progress: `select 'much'` }, /"progress".*no number/],
    ['no row of progress', { progress: 'select 1 where false' }, /"progress".*returned no row/],
    ['two rows of progress', { progress: 'select 1 from generate_series(1, 2)' }, /"progress".*returned 2 rows/],
    [
      'no row of a batch',
      { batch: 'select 1 as rows, null as cursor where $1 + coalesce($2::int, 0) < 0' },
      /"reverse".*returned no row/,
    ],
    ['a batch without a cursor column', { batch: 'select $1::int as rows, $2::text as next' }, /"rows" and "cursor"/],
    [
      'rows that are none',
      { batch: `select 'x' || $1::text as rows, $2::text as cursor` },
      /a number of rows that is none/,
    ],
    [
      'more rows than were asked for',
      { batch: 'select $1::int * 11 as rows, $2::text as cursor' },
      /does not keep to \$1/,
    ],
    ['no boolean of verify', { progress: 'select 0', verify: 'select 3' }, /"verify".*no boolean/],
  ];
  test.each(failing)('%s parks, naming the query', async (_, queries, words) => {
    staged = await stageData(queries);
    await expect(staged.run1()).rejects.toMatchObject({
      type: FailureType.DataFailed,
      message: expect.stringMatching(words) as string,
    });
    expect(await staged.database.query('select from witness')).toEqual([]);
  });

  test.each([
    ['progress', { progress: `select (text = 'x')::int / 0 from letters limit 1` }],
    ['verify', { verify: `select text::boolean from letters limit 1` }],
  ])('a %s that fails parks, naming the query; the server’s words are in the journal', async (query, queries) => {
    staged = await stageData(queries);
    const failed = await staged.run1().catch((error: unknown) => error);
    expect(failed).toMatchObject({ type: FailureType.DataFailed });
    expect(String(failed)).toMatch(new RegExp(`"${query}".*failed \\(SQLSTATE 22.*data_failure`));
    expect(String(failed)).not.toContain('letter');
    expect(await staged.database.query('select size, left(sqlstate, 2) as class from pgunwind.data_failure')).toEqual([
      { size: 0, class: '22' },
    ]);
  });

  test('a verify that says no parks, and what was done is durable', async () => {
    staged = await stageData({ verify: 'select false' });
    await expect(staged.run1()).rejects.toMatchObject({ type: FailureType.DataFailed });
    expect(await journal()).toMatchObject([{ state: 'started', rows: 1_000, progress: 0 }]);
  });

  test('a batch that says that it works, and moves nothing, stalls and does not go on for ever', async () => {
    staged = await stageData({ batch: 'select $1::int as rows, $2::text as cursor' });
    await expect(staged.run1({ limits: { stallBatches: 10 } })).rejects.toMatchObject({
      type: FailureType.DataStalled,
    });
    expect(await journal()).toMatchObject([{ batches: 10 }]);
  });

  test('a progress that is slow to ask is asked seldom, however small the batches are', async () => {
    const progress = `${KEYSET.progress}, (select pg_sleep(0.5) from nextval('asked')) s`;
    staged = await stageData({ progress }, { setup: `${LETTERS(1_000)} create sequence asked;` });
    const began = performance.now();
    await staged.run1({ limits: { firstRows: 2, mostRows: 2 } });
    const [row] = await staged.database.query<{ times: number }>('select last_value::int as times from asked');
    // At both ends, and once because nobody knows yet that the batches move anything; then for a twentieth of the time.
    expect(row?.times).toBeLessThanOrEqual(3 + (performance.now() - began) / 10_000);
  });

  test('a cursor that walks on without an end stalls', async () => {
    staged = await stageData({ batch: 'select 0 * $1::int as rows, coalesce($2::bigint, 0) + 1 as cursor' });
    await expect(staged.run1({ limits: { stallBatches: 4 } })).rejects.toMatchObject({ type: FailureType.DataStalled });
  });

  test('a pass that finds nothing although the data is not at its end stalls', async () => {
    staged = await stageData({ batch: 'select 0 * $1::int as rows, $2::text as cursor' });
    await expect(staged.run1()).rejects.toMatchObject({
      type: FailureType.DataStalled,
      message: expect.stringContaining('a whole pass found nothing') as string,
    });
  });
});

describe('a batch that fails', () => {
  test('because of one row is halved until that row alone is left, and parks without a word of it', async () => {
    staged = await stageData(
      {},
      { setup: `${LETTERS(1_000)} alter table letters add check (id <> 700 or text = upper(text));` },
    );
    const failed = await staged.run1({ limits: { firstRows: 400, mostRows: 400 } }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ type: FailureType.DataFailed, details: { sqlstate: '23514' } });
    expect(String(failed)).not.toContain('LETTER');
    expect(await journal()).toMatchObject([{ state: 'started', cursor: '699', rows: 699 }]);
    expect((await staged.database.query('select size from pgunwind.data_failure order by id desc limit 1'))[0]).toEqual(
      { size: 1 },
    );
    await staged.database.query('alter table letters drop constraint letters_check');
    expect(await staged.run1({ order: { attempt: 2 } })).toMatchObject({ how: 'resumed', rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('because of a lock is tried again in place', async () => {
    staged = await stageData({}, { settings: { lockTimeoutMs: 200 } });
    const run = await withClient(staged.database.url, async (holder) => {
      await holder.query('begin; update letters set text = text where id = 500');
      const under = staged.run1({ limits: { firstRows: 100, mostRows: 100, triesPerBatch: 50 } });
      await until(async () => (await staged.database.query('select from pgunwind.data_failure')).length > 0, {
        describe: 'a batch that had to wait',
      });
      await holder.query('rollback');
      return under;
    });
    expect(run).toMatchObject({ rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('does not stall where its query skips what others have locked: it looks again a moment later', async () => {
    const batch = `with batch as (select id from letters where text = upper(text) limit $1 for update skip locked),
      moved as (update letters l set text = lower(text) from batch b where l.id = b.id returning l.id),
      seen as (insert into witness (what) select id from moved returning 1)
      select count(*) as rows, null as cursor from seen`;
    staged = await stageData({ batch });
    const run = await withClient(staged.database.url, async (holder) => {
      await holder.query('begin; update letters set text = text where id = 500');
      const under = staged.run1();
      await until(async () => (await staged.database.query(`select from witness having count(*) = 999`)).length > 0, {
        describe: 'all other rows to be moved',
      });
      const looked = staged.beats.length;
      await Promise.race([
        until(() => staged.beats.length > looked + 1, { describe: 'a pass that finds nothing' }),
        under,
      ]);
      await holder.query('rollback');
      return under;
    });
    expect(run).toMatchObject({ rows: 1_000, progress: 0 });
    expect(await movedMoreThanOnce(staged)).toEqual([]);
  });

  test('because it was cancelled ends the attempt within two seconds, with nothing of that batch left', async () => {
    staged = await stageData({
      batch: KEYSET.batch.replace('select id from letters', 'select id from letters, (select pg_sleep(60)) s'),
    });
    const stop = new AbortController();
    const run = staged.run1({ signal: stop.signal });
    await until(
      async () =>
        (
          await staged.database.query(
            `select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`,
          )
        ).length > 0,
      { describe: 'a batch that runs' },
    );
    const began = performance.now();
    stop.abort();
    await expect(run).rejects.toThrow();
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await journal()).toMatchObject([{ batches: 0, rows: 0 }]);
  });
});
