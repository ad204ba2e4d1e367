import { createHash, randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { readDurations } from '../../src/journal/durations.js';
import { endRun, recordDecision } from '../../src/journal/runs.js';
import { openClient } from '../support/gate.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';

let staged: Stage;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
});

const planOf = ({ run }: Stage) => createHash('sha256').update(run).digest('hex'); // as the stage has it
const read = (of: Stage) => of.instance.sessions.withSession(({ client }) => readDurations(client, planOf(of)));
const sleep = (seconds: number) => `select pg_sleep(${seconds})`;

async function decide(kind: string): Promise<void> {
  const decision = {
    run: staged.run,
    plan: null,
    kind,
    by: 'eve',
    why: null,
    details: {},
    at: new Date().toISOString(),
  };
  await staged.instance.sessions.withSession(({ client }) => recordDecision(client, decision));
}

/** A run of old, with a row for each of these steps. */
async function pastRun(
  daysAgo: number,
  steps: readonly { migration: string; script: string; ms: number }[],
): Promise<void> {
  const run = randomUUID();
  await staged.database.query(
    `insert into pgunwind.run (run, plan, instance, direction, target, namespace, workflow_id, base, base_invalid, planned_at, claimed_at,
                               ended_at, state)
     select $1, plan, instance, direction, target, namespace, workflow_id, base, base_invalid, t, t, t + interval '1 hour', 'completed'
       from pgunwind.run, (select now() - make_interval(days => $3) as t) x where run = $2`,
    [run, staged.run, daysAgo],
  );
  for (const [at, { migration, script, ms }] of steps.entries()) {
    await staged.database.query(
      `insert into pgunwind.step (run, seq, leg, migration, direction, script, execution, state, attempt, token, pid, backend_start, xids,
                                  started_at, finished_at, result)
       select $1, $2, 0, $3, 'down', $4, 'atomic', 'done', 1, gen_random_uuid(), 1, now(), '{}',
              t, t + $5 * interval '1 millisecond', '{"how": "ran"}'
         from (select now() - make_interval(days => $6) + $2 * interval '1 minute' as t) x`,
      [run, at + 1, migration, script, ms, daysAgo],
    );
  }
}

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');

test('a step is expected to take what it took before, by its very text; another text is one of its kind', async () => {
  const steps = [
    { migration: '10002', text: sleep(0.7) },
    { migration: '10001', text: sleep(0) },
  ];
  staged = await stage(steps);
  await staged.apply(1);
  await staged.apply(2);
  await staged.instance.sessions.withSession(({ client }) => endRun(client, staged.run, 'completed'));
  const again = await staged.again([
    { migration: '10002', text: sleep(0.7) },
    { migration: '10001', text: 'select 1' },
  ]);
  const durations = await read(again);
  expect(Object.keys(durations?.own ?? {}), 'the other text has no figure of its own').toEqual(['1']);
  expect(durations?.own['1']).toBeGreaterThanOrEqual(700);
  expect(durations?.own['1']).toBeLessThan(1_500);
  expect(Object.keys(durations?.kinds ?? {})).toEqual(['atomic']);
  expect(durations?.gapMs).toBeGreaterThan(0);
  expect(durations?.boundaryMs, 'there was one leg').toBeNull();
  expect(durations?.endMs).toBeGreaterThanOrEqual(0);
});

test('the time of an attempt that failed is not counted', async () => {
  staged = await stage([{ migration: '10001', text: 'select pg_sleep(s) from takes; insert into full_up values (1)' }]);
  await staged.database.query('create table takes (s float8); insert into takes values (0.8)');
  await expect(staged.apply(1)).rejects.toThrow();
  await staged.database.query('create table full_up (n integer); update takes set s = 0');
  await staged.apply(1, { attempt: 2 });
  expect((await read(staged))?.own['1']).toBeLessThan(400);
});

test('a script of several transactions counts only where nobody was waited for between its attempts', async () => {
  const text = 'create index concurrently later_n on later (n)';
  staged = await stage([{ migration: '10001', text }]);
  await expect(staged.apply(1)).rejects.toThrow();
  await decide('retryStep');
  await staged.database.query('create table later (n integer)');
  await staged.apply(1, { attempt: 2 });
  const waited = await read(staged);
  expect(waited?.own).toEqual({});
  expect(waited?.kinds).toEqual({});

  // That it was taken up from an earlier attempt is one reason, and each of the two others is enough.
  const nth = async (statement: string) => {
    await staged.database.query(statement);
    return Object.keys((await read(staged))?.own ?? {});
  };
  expect(await nth(`update pgunwind.step set result = result || '{"how": "ran"}'`)).toEqual([]);
  expect(await nth('delete from pgunwind.failure')).toEqual([]);
  expect(await nth('delete from pgunwind.decision')).toEqual(['1']);
});

test('while a person decided no work was done: the gap between two steps is left out', async () => {
  staged = await stage([
    { migration: '10002', text: 'select 1' },
    { migration: '10001', text: 'select 2' },
  ]);
  await staged.apply(1);
  await decide('resume');
  await staged.apply(2);
  expect((await read(staged))?.gapMs).toBeNull();
});

test('of a step that ran often the last three times count, and of all runs the newest twenty', async () => {
  const [often, seldom] = ['select 1', 'select 2'];
  staged = await stage([
    { migration: '10002', text: often },
    { migration: '10001', text: seldom },
  ]);
  await pastRun(100, [{ migration: '10001', script: hashOf(seldom), ms: 5_000 }]);
  expect((await read(staged))?.own).toEqual({ 2: 5_000 });
  for (let day = 1; day <= 20; day += 1) {
    await pastRun(day, [{ migration: '10002', script: hashOf(often), ms: day * 100 }]);
  }
  expect((await read(staged))?.own).toEqual({ 1: 200 });
});

test('a data migration is expected to take what a whole way took, unless a person was waited for in it', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  await staged.database.query(
    `insert into pgunwind.data_step (run, leg, id, act, state, rows, first_progress, progress, attempt, token, pid, started_at, finished_at)
     values ($1, 0, '7', 'reverse', 'done', 900, 1, 0, 1, gen_random_uuid(), 1, now() - interval '40 s', now() - interval '30 s'),
            ($1, 0, '8', 'forward', 'done', 900, 0.5, 1, 1, gen_random_uuid(), 1, now() - interval '40 s', now() - interval '30 s'),
            ($1, 0, '9', 'reverse', 'done', 900, 1, 0, 1, gen_random_uuid(), 1, now() - interval '20 s', now() + interval '20 s'),
            ($1, 0, '10', 'reverse', 'done', 0, 0, 0, 1, gen_random_uuid(), 1, now() - interval '40 s', now() - interval '30 s')`,
    [staged.run],
  );
  await decide('retryStep');
  expect((await read(staged))?.data).toEqual({ '7 reverse': 10_000, '8 forward': 20_000 });
});

test('a plan does not wait for the figures: it goes without, and the session is as it was', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const other = await openClient(staged.database);
  await other.query('begin; lock table pgunwind.decision');
  await staged.instance.sessions.withSession(async ({ client }) => {
    const began = performance.now();
    expect(await readDurations(client, planOf(staged))).toBeNull();
    expect(performance.now() - began).toBeLessThan(5_000);
    await client.query('create table afterwards ()');
  });
  await other.end();
  expect(await read(staged)).toMatchObject({ own: {} });
});
