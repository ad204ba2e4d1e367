import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { workflowIdOf } from '../../src/contract/ids.js';
import { QueryName, type RunState, type StatusReport } from '../../src/contract/messages.js';
import { findTemporal } from '../../src/temporal/find-temporal.js';
import { repository } from '../support/shared.js';
import { untilSeen } from '../support/until.js';
import { openExampleShop, type ExampleShop } from './example-shop.js';

const instance = `cli-${randomBytes(4).toString('hex')}`;

/** Every line of the shell blocks of docs/temporal-cli.md, in their order. */
const LINES = [
  ...readFileSync(path.join(repository, 'docs', 'temporal-cli.md'), 'utf8').matchAll(/^```sh\n([^]*?)^```$/gm),
].flatMap(([, text = '']) => text.split('\n').filter((line) => line !== ''));

interface Told {
  /** How the line of the page begins, after `temporal workflow ` and the like: page and test cannot drift apart. */
  readonly line: string;
  /** What must have happened before one would type it. */
  readonly when?: () => Promise<unknown>;
  /** What it prints, or what it is refused with; without the quotes of JSON, since it prints some objects in Go's way. */
  readonly prints: RegExp;
  /** Typed again until it prints that: what the list or `describe` tells comes a moment later. */
  readonly again?: boolean;
  readonly refused?: boolean;
}

let shop: ExampleShop;
let run: (line: string) => Promise<{ refused: boolean; printed: string }>;
/** Holds up the first step of `orders` until it is ended. */
let forgotten: Awaited<ReturnType<ExampleShop['connect']>>;

const plain = (text: string) => text.replaceAll('"', '').replaceAll(': ', ':');
const inState = (state: RunState) => () => shop.inState(state);

const STORY: readonly Told[] = [
  { line: 'temporal workflow start --type upgrade', prints: /RunId/ },
  {
    line: 'temporal workflow metadata',
    when: inState('awaitingApproval'),
    prints: /"plan":?"[0-9a-f]{64}"|plan:[0-9a-f]{64}/,
  },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name approve',
    prints: /kind:approve/,
  },
  { line: 'temporal workflow result', prints: /standsAt:v3.0.0/ },
  { line: 'psql "$FRONTEND_URL" -q -f', prints: /^/ },
  { line: 'psql "$ORDERS_URL" -q -f', prints: /^/ },
  { line: 'psql "$INSIGHTS_URL" -q -f', prints: /^/ },
  {
    line: 'psql "$ORDERS_URL" -c "insert into payments',
    when: async () => expect(await shop.query('orders', HOW_MUCH)).toEqual([{ trade: true }]),
    prints: /INSERT 0 1/,
  },
  { line: 'temporal task-queue describe', prints: /Pollers:[^]*activity/ },
  { line: 'temporal workflow start --type downgrade', prints: /RunId/ },
  {
    line: `temporal workflow list --query 'UnwindState="awaitingApproval"'`,
    when: inState('awaitingApproval'),
    prints: /unwind\/acme-eu +downgrade/,
    again: true,
  },
  {
    line: 'temporal workflow metadata',
    prints: /\*\*awaitingApproval\*\*[^]*table public\.loyalty_points:30,000 rows/,
  },
  { line: 'temporal workflow query', prints: /state:awaitingApproval/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name approve',
    when: async () => {
      forgotten = await shop.connect('orders');
      await forgotten.query('begin');
      await forgotten.query('select count(*) from shipments_2027');
    },
    prints: /kind:approve[ ,]why:ticket OPS-1182/,
  },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name resume',
    prints: /The run is not paused/,
    refused: true,
  },
  { line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name pause', prints: /state:paused/ },
  { line: 'temporal workflow query', prints: /state:paused/ },
  { line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name resume', prints: /kind:resume/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name setOptions',
    prints: /blockers:terminateIdle/,
  },
  { line: 'temporal workflow describe', prints: /orders-0001-down[^]*AccessExclusiveLock/, again: true },
  { line: 'temporal activity pause', prints: /^/ },
  { line: 'temporal activity unpause', prints: /^/ },
  {
    line: `temporal workflow list --query 'UnwindState="needsOperator"'`,
    when: async () => {
      await forgotten.end();
      await shop.inState('needsOperator');
    },
    prints: /unwind\/acme-eu +downgrade/,
    again: true,
  },
  { line: 'temporal workflow metadata', prints: /orders is parked:StepFailed[^]*larger payments[^]*22003/ },
  { line: `psql "$ORDERS_URL" -c "select`, prints: /22003 +\| integer out of range/ },
  { line: `psql "$ORDERS_URL" -c "with halved`, prints: /INSERT 0 1/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name retryStep',
    prints: /why:split the large payment/,
  },
  { line: 'temporal workflow result', prints: /outcome:completed[^]*standsAt:v2.0.0/ },
  { line: 'temporal workflow list', prints: /unwind\/acme-eu +downgrade/, again: true },
  { line: 'temporal workflow show', prints: /WorkflowExecutionCompleted/ },
  { line: 'temporal workflow start --type upgrade', prints: /RunId/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name approve',
    when: inState('awaitingApproval'),
    prints: /kind:approve/,
  },
  {
    line: `temporal workflow list --query 'UnwindState="atStop"'`,
    when: inState('atStop'),
    prints: /unwind\/acme-eu +upgrade/,
    again: true,
  },
  { line: `psql "$ORDERS_URL" -c "create index`, prints: /CREATE INDEX/ },
  { line: `psql "$INSIGHTS_URL" -c "alter table`, prints: /ALTER TABLE/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name continue',
    prints: /kind:continue/,
  },
  {
    line: 'temporal workflow metadata',
    when: () => shop.parkedAt(['insights', 'orders']),
    prints: /payments_by_method/,
  },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name acceptDirty',
    prints: /kind:acceptDirty/,
  },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name skipStep',
    prints: /kind:skipStep/,
  },
  {
    line: 'temporal workflow result',
    prints:
      /kind:skipStep,why:ann has carried it out by hand[^]*standsAt:v2.2.0[^]*\(step 3\) was not run here but taken over by eve/,
  },
  { line: 'temporal workflow start --type downgrade', prints: /RunId/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name approve',
    when: inState('awaitingApproval'),
    prints: /kind:approve/,
  },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name turnBack',
    when: inState('atStop'),
    prints: /kind:turnBack/,
  },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name approve',
    when: inState('awaitingApproval'),
    prints: /kind:approve/,
  },
  { line: 'temporal workflow result', prints: /direction:up[^]*standsAt:v2.2.0/ },
  { line: 'temporal workflow start --type upgrade', prints: /RunId/ },
  {
    line: 'temporal workflow update execute --workflow-id unwind/acme-eu --name abort',
    when: inState('awaitingApproval'),
    prints: /kind:abort/,
  },
  { line: 'temporal workflow start --type upgrade', when: inState('aborted'), prints: /RunId/ },
  { line: 'temporal workflow cancel', when: inState('awaitingApproval'), prints: /Canceled workflow|cancel/i },
  { line: 'temporal workflow start --type dataMigration', when: inState('cancelled'), prints: /RunId/ },
  { line: 'temporal workflow result', prints: /rows:[1-9]\d*[^]*outcome:completed/ },
];

describe('docs/temporal-cli.md, typed line by line', () => {
  beforeAll(async () => {
    const temporal = inject('temporal');
    shop = await openExampleShop({ instance, temporal: { ...temporal, taskQueue: instance }, at: null });
    const { path: binary } = await findTemporal({});
    const env = {
      ...process.env,
      PATH: `${path.dirname(binary)}:${process.env['PATH']}`,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: temporal.namespace,
      ORDERS_URL: shop.url('orders'),
      FRONTEND_URL: shop.url('frontend'),
      INSIGHTS_URL: shop.url('insights'),
    };
    const hasPsql = await promisify(execFile)('psql', ['--version']).then(
      () => true,
      () => false,
    );
    run = async (line) => {
      const { plan } = line.includes('<the plan id>')
        ? await shop.client.workflow.getHandle(workflowIdOf(instance)).query<StatusReport>(QueryName.status)
        : { plan: null };
      const typed = line
        .replaceAll('acme-eu', instance)
        .replace('--task-queue pg-unwind', `--task-queue ${instance}`)
        .replace('<the plan id>', plan ?? '');
      const [, database = '', how, given = ''] = /^psql "\$(\w+)_URL" (-c|-q -f) "?(.*?)"?$/.exec(line) ?? [];
      if (how !== undefined && !hasPsql) {
        const sql = how === '-c' ? given : readFileSync(path.join(repository, given), 'utf8');
        return { refused: false, printed: await ask(database.toLowerCase(), sql) };
      }
      const ended = promisify(execFile)('bash', ['-c', typed], { cwd: repository, env, timeout: 120_000 });
      return ended.then(
        ({ stdout, stderr }) => ({ refused: false, printed: plain(stdout + stderr) }),
        ({ stdout = '', stderr = '' }: { stdout?: string; stderr?: string }) => ({
          refused: true,
          printed: plain(stdout + stderr),
        }),
      );
    };
  }, 240_000);

  afterAll(async () => {
    await forgotten?.end();
    await shop?.close();
  });

  test('the page and this test tell the same story', () => {
    expect(LINES.map((line, at) => line.startsWith(STORY[at]?.line ?? '-') || line)).toEqual(STORY.map(() => true));
  });

  test.each(STORY.map((told, at) => ({ ...told, at })))('$at: $line', async ({ at, when, prints, again, refused }) => {
    const line = LINES[at] ?? '';
    const asPrinted = new RegExp(prints.source.replaceAll('acme-eu', instance), prints.flags);
    await when?.();
    const ended = again
      ? await untilSeen(
          () => run(line),
          ({ printed }) => asPrinted.test(printed),
          { within: 60_000, describe: `"${line}" to print ${asPrinted}` },
        )
      : await run(line);
    expect(ended.printed).toMatch(asPrinted);
    expect(ended.refused).toBe(refused ?? false);
  });
});

/** What psql would print of it, on a machine that has none. */
async function ask(database: string, sql: string): Promise<string> {
  const client = await shop.connect(database);
  try {
    const answers = [await client.query<Record<string, unknown>>(sql)].flat(); // of a file there are several
    const { command, rowCount, rows } = answers.at(-1) ?? { command: '', rowCount: 0, rows: [] };
    const lines = rows.map((row) => Object.values(row).join(' | '));
    const tags: Readonly<Record<string, string>> = { INSERT: `INSERT 0 ${rowCount}`, SELECT: `(${rowCount} row)` };
    return [...lines, tags[command] ?? DDL_TAG.exec(sql)?.[0].toUpperCase()].join('\n');
  } finally {
    await client.end();
  }
}

const DDL_TAG = /^\w+ \w+/; // node-postgres gives the first word of it only

const HOW_MUCH = 'select count(*) > 100000 as trade from payments';
