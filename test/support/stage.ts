import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { BlockerPolicy } from '../../src/contract/blockers.js';
import type { Direction } from '../../src/contract/plan.js';
import { insertRun } from '../../src/journal/runs.js';
import { ensureJournal } from '../../src/journal/install.js';
import { sourcegraphLedger } from '../../src/journal/ledgers/sourcegraph.js';
import { analyseScript } from '../../src/postgres/script.js';
import { createSessionPool, type SessionPool } from '../../src/postgres/session-pool.js';
import { DEFAULT_SETTINGS, type SessionSettings } from '../../src/postgres/session.js';
import { applyStep } from '../../src/step/apply.js';
import { claimDatabase } from '../../src/step/claim.js';
import type { InstanceDatabase, Script } from '../../src/step/database.js';
import { checkDatabase } from '../../src/step/dirty-check.js';
import type { AppliedStep, AttemptContext, StepOrder } from '../../src/step/order.js';
import { createDatabase, type TestDatabase } from './postgres.js';

export interface StagedStep {
  readonly migration: string;
  readonly text: string;
  readonly terminateBlockers?: boolean;
}

/** A database with a ledger, a journal, a plan of the given scripts and a claim: ready for step 1. */
export interface Stage {
  readonly database: TestDatabase;
  readonly instance: InstanceDatabase;
  readonly run: string;
  token: string;
  order(seq: number, attempt?: number): StepOrder;
  apply(seq: number, options?: Partial<AttemptContext> & { attempt?: number; token?: string }): Promise<AppliedStep>;
  check(nextSeq: number): ReturnType<typeof checkDatabase>;
  claim(): Promise<string>;
  /** Another run over the same steps from `from` on, as after a lost history. */
  again(steps: readonly StagedStep[]): Promise<Stage>;
  close(): Promise<void>;
}

export const LEDGER = { key: 'schema_migrations', schema: 'public' };

export async function stage(
  steps: readonly StagedStep[],
  options: {
    direction?: Direction;
    setup?: string;
    database?: TestDatabase;
    /** Where the engine connects to instead: a proxy in front of the server. */
    via?: (url: string) => string;
    settings?: Partial<SessionSettings>;
    blockers?: BlockerPolicy;
  } = {},
): Promise<Stage> {
  const database = options.database ?? (await createDatabase());
  const direction = options.direction ?? 'down';
  const url = options.via?.(database.url) ?? database.url;
  const settings = { ...DEFAULT_SETTINGS, ...options.settings };
  const sessions = createSessionPool({ url: () => Promise.resolve(url), settings });
  if (options.setup !== undefined) await database.query(options.setup);
  await sessions.withSession(async ({ client }) => {
    await sourcegraphLedger.create(client, LEDGER);
    await ensureJournal(client, database.name, sourcegraphLedger.functionsSql(LEDGER));
    if (direction === 'down') {
      for (const { migration } of [...steps].reverse()) {
        await client.query(`select pgunwind.ledger_end($1, true, clock_timestamp(), null)`, [migration]);
      }
    }
  });
  const limits = { lockTimeoutMs: settings.lockTimeoutMs, blockers: options.blockers ?? ('wait' as const) };
  return stageOn(database, sessions, steps, direction, limits, () => database.drop());
}

async function stageOn(
  database: TestDatabase,
  sessions: SessionPool,
  steps: readonly StagedStep[],
  direction: Direction,
  limits: Pick<InstanceDatabase, 'lockTimeoutMs' | 'blockers'>,
  drop: () => Promise<void>,
): Promise<Stage> {
  const instance: InstanceDatabase = {
    instance: 'test',
    name: 'frontend',
    sessions,
    privileged: null,
    ledger: sourcegraphLedger,
    ledgerOptions: LEDGER,
    marker: null,
    ...limits,
    prepare: () => Promise.resolve(), // stage() has installed it
  };
  const run = randomUUID();
  const plan = createHash('sha256').update(run).digest('hex');
  const scripts: Script[] = [];
  for (const { text } of steps) {
    const facts = await analyseScript(text);
    scripts.push({ sha256: facts.sha256, body: text, facts });
  }
  const owner = { namespace: 'default', workflowId: 'unwind/test', runId: 'r' };
  await sessions.withSession(async ({ client }) => {
    await client.query('insert into pgunwind.plan values ($1, $2)', [plan, '{}']);
    for (const [at, step] of steps.entries()) {
      const { sha256, facts } = scripts[at] as Script;
      await client.query('insert into pgunwind.plan_step values ($1, $2, 0, $3, $3, $4, $5, $6, $7)', [
        plan,
        at + 1,
        step.migration,
        direction,
        facts.execution,
        sha256,
        direction === 'down' ? 'row' : 'absent',
      ]);
    }
    const { rows } = await client.query<{ base: string[] }>('select pgunwind.ledger_applied() as base');
    await insertRun(client, { run, plan, instance: 'test', direction, target: 'v1', owner, base: rows[0]?.base ?? [] });
  });
  const self: Stage = {
    database,
    instance,
    run,
    token: '',
    order(seq, attempt = 1) {
      const step = steps[seq - 1] as StagedStep;
      const script = scripts[seq - 1] as Script;
      return {
        run,
        database: 'frontend',
        seq,
        migration: step.migration,
        name: `step_${seq}`,
        direction,
        execution: script.facts.execution,
        privileged: false,
        terminateBlockers: steps[seq - 1]?.terminateBlockers ?? false,
        script,
        token: self.token,
        attempt,
      };
    },
    apply(seq, { attempt = 1, token, ...context } = {}) {
      const order = self.order(seq, attempt);
      return applyStep(instance, token === undefined ? order : { ...order, token }, {
        check: null,
        progress: () => undefined,
        working: () => undefined,
        pause: (ms) => pause(ms),
        signal: new AbortController().signal,
        ...context,
      });
    },
    check: (nextSeq) => checkDatabase(instance, run, nextSeq),
    async claim() {
      self.token = await claimDatabase(
        instance,
        { run, owner, takeOver: false },
        { waiting: () => undefined, pause: (ms) => pause(ms) },
      );
      return self.token;
    },
    again: (rest) => stageOn(database, sessions, rest, direction, limits, () => Promise.resolve()),
    async close() {
      await sessions.close();
      await drop();
    },
  };
  await self.claim();
  return self;
}
