import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { setUpShop, type Shop } from '../../src/cli/example/shop.js';
import { workflowIdOf } from '../../src/contract/ids.js';
import type { StatusReport, UnwindReport } from '../../src/contract/messages.js';
import type { Plan } from '../../src/contract/plan.js';
import { until } from '../support/until.js';
import { npmRun, pgUnwind, pgUnwindOnTerminal, stop, type Ended, type Running } from './command-line.js';

const instance = `e2e-${randomBytes(4).toString('hex')}`;
const MIDDLE = 'v2.0.0';

let folder: string;
let shop: Shop;
let worker: Running;

const run = (...words: string[]): Promise<Ended> => pgUnwind(words, { PG_UNWIND_CONFIG: shop.configFile }).ended;
const runJson = async <T>(...words: string[]): Promise<T> => JSON.parse((await run(...words, '--json')).out) as T;
const lastLine = ({ out }: Ended) => out.trimEnd().split('\n').at(-1);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-e2e-'));
  const { url: superuserUrl, password } = inject('postgres');
  shop = await setUpShop({
    folder,
    instance,
    postgres: { superuserUrl, password, url: urlOnServer },
    temporal: { ...inject('temporal'), taskQueue: instance },
  });
  worker = npmRun(['pg-unwind', '--', 'worker'], { PG_UNWIND_CONFIG: shop.configFile });
  await until(() => worker.printed().includes('worker ready'), {
    within: 90_000,
    describe: 'the worker',
    show: () => worker.printed(),
  });
});

afterAll(async () => {
  if (worker) await stop(worker);
  const client = new pg.Client(inject('postgres').url);
  await client.connect();
  for (const database of shop?.databases ?? []) {
    await client.query(`drop database if exists ${instance.replaceAll('-', '_')}_${database} with (force)`);
  }
  await client.end();
  await rm(folder, { recursive: true, force: true });
});

function urlOnServer(database: string, role = 'postgres'): string {
  const url = new URL(inject('postgres').url);
  url.pathname = `/${database}`;
  url.username = role;
  return url.href;
}

function plainStart(type: string, to: string, ...more: string[]): Promise<Ended> {
  const { address, namespace } = inject('temporal');
  return run(
    ...['temporal', 'workflow', 'start', '--address', address, '--namespace', namespace, '--type', type],
    ...['--task-queue', instance, '--workflow-id', workflowIdOf(instance), ...more],
    ...['--input', JSON.stringify({ instance, to })],
  );
}

describe('an instance on its way down, typed as an operator would', () => {
  test('an empty database has nothing to go down from: 3, and it says what was found', async () => {
    const { code, err } = await run('plan', instance, '--to', shop.oldest);
    expect(err).toMatch(/ledger/);
    expect(code).toBe(3);
  });

  test('an upgrade whose plan loses content waits for consent', async () => {
    const waiting = await run('upgrade', instance, '--to', shop.newest, '--wait', '--by', 'ann');
    expect(waiting.code).toBe(3);
    expect(waiting.out).toMatch(/pg-unwind approve \S+ --plan [0-9a-f]{64}/);
  });

  test('started again to the same release: no second run, it says so and shows the open one', async () => {
    const { plan, run: first } = await runJson<StatusReport>('status', instance);
    const again = await run('upgrade', instance, '--to', shop.newest, '--accept-data-loss', plan ?? '');
    expect(again.code).toBe(2);
    expect(again.err).toMatch(
      /^error: A run of \S+ is open, [^]*: upgrade to v3\.0\.0 \(unwind\/\S+\), since .* by ann\./,
    );
    expect(again.err).toContain('Nothing was started. It was started without this --accept-data-loss');
    expect(again.err).toContain(`pg-unwind watch ${instance}`);
    expect(again.out).toMatch(/waits for consent[^]*frontend[^]*pg-unwind approve/);

    const asJson = await runJson<{ error: unknown }>('upgrade', instance, '--to', shop.newest);
    expect(asJson.error).toMatchObject({
      code: 'AlreadyRunning',
      details: { type: 'upgrade', input: { to: shop.newest }, status: { state: 'awaitingApproval', run: first, plan } },
    });
  });

  test('with --wait it stays with the open run', async () => {
    const again = await run('upgrade', instance, '--to', shop.newest, '--wait');
    expect(again.code).toBe(3);
    expect(again.out).toMatch(/^A run of .* Nothing was started\. This is that run:$/m);
    expect(again.out).toContain(`pg-unwind approve ${instance}`);
    const { run: first } = await runJson<StatusReport>('status', instance);
    const asJson = await run('upgrade', instance, '--to', shop.newest, '--wait', '--json');
    expect(JSON.parse(asJson.out)).toMatchObject({ state: 'awaitingApproval', run: first });
    expect(asJson.err).toContain('Nothing was started');
  });

  test('started to another release, or the other way, it says that the open run does not go there, with --wait too', async () => {
    for (const words of [
      ['upgrade', instance, '--to', MIDDLE, '--wait'],
      ['downgrade', instance, '--to', shop.newest],
    ]) {
      const other = await run(...words);
      expect(other.code).toBe(2);
      expect(other.err).toMatch(
        /upgrade to v3\.0\.0 .*Nothing was started\. It does not go where this start was to go/,
      );
      expect(other.err).toContain(`pg-unwind abort ${instance}`);
      expect(other.out).toContain('waits for consent');
    }
  });

  test('the plain Temporal CLI starts no second one either, with or without --fail-existing', async () => {
    const { run: first } = await runJson<StatusReport>('status', instance);
    const again = await plainStart('downgrade', shop.oldest, '--fail-existing');
    expect(again.code).not.toBe(0);
    expect(again.err).toMatch(/already (running|started)/i);
    await plainStart('downgrade', shop.oldest);
    expect(await runJson<StatusReport>('status', instance)).toMatchObject({ run: first, state: 'awaitingApproval' });
  });

  test('the consent is to that very plan, and the run goes on when it is given', async () => {
    const { plan: asked } = await runJson<StatusReport>('status', instance);
    const plan = asked ?? '';
    const other = await run('approve', instance, '--plan', 'f'.repeat(64));
    expect(other.code).toBe(2);
    expect(other.err).toContain('Nothing was approved');

    expect((await run('approve', instance, '--plan', plan, '--by', 'eve', '--why', 'e2e')).code).toBe(0);
    const report = await until(
      async () => {
        const status = await runJson<StatusReport | UnwindReport>('status', instance);
        return 'outcome' in status ? status : null;
      },
      { within: 60_000, describe: 'the end of the upgrade' },
    );
    expect(report).toMatchObject({ outcome: 'completed', to: shop.newest, stepsDone: 78, stepsTotal: 78 });
    expect(report.decisions).toEqual([expect.objectContaining({ kind: 'approve', by: 'eve', why: 'e2e' })]);
  });

  test('the plan lists every step, names what is lost and how to consent', async () => {
    const { code, out } = await run('plan', instance, '--to', MIDDLE);
    expect(code).toBe(0);
    const plan = await runJson<Plan>('plan', instance, '--to', MIDDLE);
    expect(out).toContain(`Plan ${plan.id}`);
    expect(out).toContain(`--accept-data-loss ${plan.id}`);
    for (const leg of plan.legs) {
      for (const step of Object.values(leg.steps).flat()) expect(out).toContain(`${step.migration}  ${step.name}`);
    }
  });

  test('a downgrade with consent runs to its end, and its last line says where the instance stands', async () => {
    const plan = await runJson<Plan>('plan', instance, '--to', MIDDLE);
    const steps = plan.legs.flatMap(({ steps, data = [] }) => [...Object.values(steps).flat(), ...data]).length;
    const ended = await run('downgrade', instance, '--to', MIDDLE, '--accept-data-loss', plan.id, '--wait');
    expect({ code: ended.code, last: lastLine(ended) }).toEqual({
      code: 0,
      last: `${instance} stands at ${MIDDLE}: ${steps} of ${steps} steps done, verified.`,
    });
    const [database, [step]] = Object.entries(plan.legs[0]!.steps).find(([, all]) => all.length > 0)!;
    expect(worker.printed()).toMatch(
      new RegExp(`^INFO ${database} ${step!.migration} .* down ok [\\d.]+ m?s \\(\\d+/\\d+\\)$`, 'm'),
    );
  });

  test('afterwards it is clean, status tells the end, and the same downgrade has nothing to do', async () => {
    const check = await run('check', instance);
    expect(check.code).toBe(0);
    expect(check.out.match(/clean/g)).toHaveLength(3);

    const status = await run('status', instance);
    expect(status.code).toBe(0);
    expect(status.out).toContain(`${instance} stands at ${MIDDLE}`);

    const again = await run('downgrade', instance, '--to', MIDDLE, '--wait');
    expect({ code: again.code, last: lastLine(again) }).toEqual({
      code: 0,
      last: `${instance} already stands at ${MIDDLE}: nothing to do, checked.`,
    });
  });

  test('a start through the plain Temporal CLI is the same run; abort ends it with 4', async () => {
    const started = await plainStart('downgrade', shop.oldest, '--fail-existing');
    expect(started.code).toBe(0);
    const waiting = await until(
      async () => {
        const ended = await run('status', instance);
        return ended.code === 3 && ended;
      },
      { within: 30_000, describe: 'the run to wait for consent' },
    );
    expect(waiting.out).toContain('waits for consent');
    await watchAndLeave();

    expect((await run('abort', instance, '--why', 'e2e')).code).toBe(0);
    const aborted = await until(
      async () => {
        const ended = await run('status', instance);
        return ended.code === 4 && ended;
      },
      { within: 30_000, describe: 'the run to be aborted' },
    );
    expect(lastLine(aborted)).toContain('was stopped by an operator: 0 of');
  });
});

/** On the whole screen of a terminal: the frame, and after q the terminal as it was, with the run still waiting. */
async function watchAndLeave(): Promise<void> {
  const watching = pgUnwindOnTerminal(['watch', instance], { PG_UNWIND_CONFIG: shop.configFile });
  await until(() => watching.printed().includes('waits for consent'), {
    within: 60_000,
    describe: 'the frame',
    show: () => watching.printed(),
  });
  watching.process.stdin?.write('q');
  const { code, out } = await watching.ended;
  expect(code).toBe(130);
  const [frames = '', after = ''] = out.split('\x1b[?7h\x1b[?25h\x1b[?1049l');
  expect(frames).toContain('\x1b[?1049h');
  expect(frames).toContain(`frontend`);
  expect(after).toContain(`the run of ${instance} goes on`);
  expect(after).not.toContain('\x1b[?');
  expect((await run('status', instance)).code).toBe(3);
}

test('of two starts at the same instant one begins, and the other shows it', async () => {
  const both = await Promise.all([
    run('downgrade', instance, '--to', shop.oldest),
    run('downgrade', instance, '--to', shop.oldest),
  ]);
  const [begun, other] = both.toSorted((a, b) => (a.code ?? 9) - (b.code ?? 9));
  expect([begun?.code, other?.code]).toEqual([0, 2]);
  const [, runId = '-'] = /run ([0-9a-f-]{36})\)/.exec(begun?.out ?? '') ?? [];
  expect(other?.err).toContain(`downgrade to ${shop.oldest}`);
  const shown = await runJson<{ error: { details: { runId: string } } }>('downgrade', instance, '--to', shop.oldest);
  expect(shown.error.details.runId).toBe(runId);
  expect((await run('abort', instance)).code).toBe(0);
});

describe('what happened', () => {
  test('history lists the runs, newest first, with who decided; log tells their steps', async () => {
    const history = await run('history', instance);
    expect(history.code).toBe(0);
    const lines = history.out.split('\n').filter((line) => line.includes(' ↓ ') || line.includes(' ↑ '));
    expect(lines[0]).toMatch(new RegExp(`${MIDDLE} ↓ ${shop.oldest} +aborted, nothing done +0/`));
    expect(lines.at(-1)).toMatch(new RegExp(`↑ ${shop.newest} +completed +78/78 .*approve \\(eve\\)`));

    const log = await run('log', instance, '--database', 'frontend', '--last', '1000');
    expect(log.out).toContain(`release ${MIDDLE} reached`);
    expect(log.out).toMatch(/step 1 \d+ .* ↓ done, \d+ ms/);
    const first = (await runJson<{ entries: { kind: string; at: string }[] }>('log', instance, '--last', '1000'))
      .entries;
    expect(first.map(({ at }) => at)).toEqual(first.map(({ at }) => at).toSorted());
    expect((await run('log', instance, '--run', 'zz')).code).toBe(2);
  });

  test('the words of a shell are completed from the configuration', async () => {
    const completed = (...words: string[]) =>
      run('completion', 'words', '--', ...words).then(({ out }) => out.trim().split('\n'));
    expect(await completed('downgrade', '')).toContain(instance);
    expect(await completed('downgrade', instance, '--to', '=', 'v')).toContain(MIDDLE);
  });
});

describe('bad input', () => {
  test.each([
    [['downgrade', 'e2e-unknown', '--to', MIDDLE], /no instance "e2e-unknown"[\s\S]*e2e-/, 'UnknownInstance'],
    [['plan', instance, '--to', 'v2.0.9'], /no release "v2.0.9"[\s\S]*v2\.0\.0/, 'UnknownRelease'],
    [['downgrade', instance, '--to', 'v3.0.0', '--accept-data-loss', 'yes'], /plan id/, 'InvalidInput'],
  ])('%j: 2, in words and as JSON', async (words, message, code) => {
    const plain = await run(...words);
    expect(plain.code).toBe(2);
    expect(plain.err).toMatch(message);
    expect(await runJson(...words)).toMatchObject({ error: { code, message: expect.stringMatching(message) } });
  });

  test('no secret of the connection strings is printed by anything', async () => {
    const { password } = inject('postgres');
    for (const words of [
      ['plan', instance, '--to', MIDDLE],
      ['check', instance],
      ['status', instance],
    ]) {
      const { out, err } = await run(...words, '--log', 'debug');
      expect(out + err).not.toContain(password);
    }
    expect(worker.printed()).not.toContain(password);
  });
});
