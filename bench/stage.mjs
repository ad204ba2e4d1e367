import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { recordUp, withClient } from './databases.mjs';
import {
  analyseScript,
  claimDatabase,
  createSessionPool,
  DEFAULT_SETTINGS,
  ensureJournal,
  insertRun,
  sourcegraphLedger,
  storePlan,
} from './product.mjs';

/** The smallest DDL that shows in the catalogs: two rows of pg_attribute and pg_attrdef are written anew. */
const trivial = (value) => `alter table public.bench_step alter column a set default ${value}`;
const TABLE = 'create table public.bench_step (a integer default 0)';

/**
 * A database with `count` trivial atomic downs planned, claimed and ready for step 1; its other objects and the rest of its
 * ledger are those of the subject.
 */
export async function stageSteps({ url, count, key, afresh = false }) {
  const texts = Array.from({ length: count }, (_, at) => trivial(at + 1));
  const scripts = [];
  for (const text of texts) {
    const facts = await analyseScript(text);
    scripts.push({ sha256: facts.sha256, body: text, facts: { ...facts, countAfresh: afresh } });
  }
  const idOf = (seq) => String(count - seq + 1);
  const ledgerOptions = { key, schema: 'public' };
  const steps = scripts.map(({ sha256, facts }, at) => ({
    seq: at + 1,
    migration: idOf(at + 1),
    name: `step_${at + 1}`,
    execution: facts.execution,
    script: sha256,
    ledger: 'row',
  }));
  const run = randomUUID();
  const plan = createHash('sha256').update(run).digest('hex');
  const owner = { namespace: 'bench', workflowId: 'bench/stage', runId: run };
  const sessions = createSessionPool({ url: () => Promise.resolve(url), settings: DEFAULT_SETTINGS });
  const database = {
    instance: 'bench',
    name: 'bench',
    sessions,
    privileged: null,
    ledger: sourcegraphLedger,
    ledgerOptions,
    marker: null,
    lockTimeoutMs: DEFAULT_SETTINGS.lockTimeoutMs,
    blockers: 'wait',
  };
  await withClient(url, async (client) => {
    await client.query(TABLE);
    for (const { migration } of steps) await recordUp(client, key, migration);
    await ensureJournal(client, 'bench', sourcegraphLedger.functionsSql(ledgerOptions));
    const stored = { id: plan, direction: 'down', legs: [{ steps: { bench: steps } }] };
    await storePlan(client, stored, 'bench', async (sha256) => scripts.find((script) => script.sha256 === sha256));
    const { rows } = await client.query('select pgunwind.ledger_applied() as base');
    await insertRun(client, {
      run,
      plan,
      instance: 'bench',
      direction: 'down',
      target: 'bench',
      owner,
      base: rows[0].base,
    });
    await client.query('analyze pgunwind.step');
  });
  const waits = { waiting: () => undefined, pause: (ms) => pause(ms) };
  const token = await claimDatabase(database, { run, owner, takeOver: false }, waits);
  return {
    database,
    run,
    token,
    lock: sourcegraphLedger.lockKey(ledgerOptions),
    order: (seq) => ({
      ...steps[seq - 1],
      script: scripts[seq - 1],
      run,
      database: 'bench',
      direction: 'down',
      privileged: false,
      terminateBlockers: false,
      token,
      attempt: 1,
    }),
    context: (verdict) => ({
      check: verdict,
      progress: () => undefined,
      working: () => undefined,
      pause: (ms) => pause(ms),
      signal: new AbortController().signal,
    }),
    close: () => sessions.close(),
  };
}

export { trivial, TABLE };
