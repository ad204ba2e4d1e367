import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import {
  applyStep,
  checkDatabase,
  claimDatabase,
  createEngine,
  createInstances,
  createMakePlan,
  createPlanCache,
  createRecordRelease,
  createVerdicts,
  createVerifyRelease,
  endRun,
  leaveData,
  runData,
} from './product.mjs';

/** As for the runs with Temporal: somebody has read the plan and consented, so nothing is counted to be asked for. */
async function consentedBefore(config, instance, to) {
  const engine = createEngine({ config });
  try {
    return (await engine.plan({ instance, to, direction: 'down' })).plan.id;
  } finally {
    await engine.close();
  }
}

/**
 * The engine without Temporal: what the workflow and its activities do, in a loop. Plan, claim, step after step with the check
 * that rode behind the step before, release boundaries, the last check.
 * @returns milliseconds, connecting included, as the first step of a run pays it.
 */
export async function runEngine({ config, instance, to }) {
  const instances = createInstances({ config });
  const log = pino({ level: 'silent' });
  const deps = { instances, plans: createPlanCache(), verdicts: createVerdicts(), log, searchAttributes: false };
  const owner = { namespace: 'bench', workflowId: `bench/${instance}`, runId: randomUUID() };
  const run = randomUUID();
  try {
    const consentTo = await consentedBefore(config, instance, to);
    const began = performance.now();
    const input = { instance, direction: 'down', to, from: null, owner, run, consentTo };
    const { plan: planId } = await createMakePlan(deps)(input);
    const { databases } = instances.open(instance);
    const plan = await deps.plans.plan(databases[0], planId);
    const tokens = Object.fromEntries(
      await Promise.all(
        databases.map(async (database) => [
          database.name,
          await claimDatabase(database, { run, owner, takeOver: false }, WAITS),
        ]),
      ),
    );
    const prepared = performance.now();
    const at = { instance, run, plan: planId, tokens };
    for (const [leg, { steps, data = [] }] of plan.legs.entries()) {
      await Promise.all(
        databases.map((database) =>
          unwind(deps, database, { ...at, leg, direction: 'down' }, steps[database.name] ?? []),
        ),
      );
      for (const { id, database } of data) {
        const of = databases.find(({ name }) => name === database);
        await move(deps, of, { run, plan: planId, leg, database, id, token: tokens[database] });
      }
      await createRecordRelease(deps)({ ...at, leg });
      await createVerifyRelease(deps)({ ...at, leg, fingerprint: leg === plan.legs.length - 1 });
    }
    await Promise.all(
      databases.map((database) => database.sessions.withSession(({ client }) => endRun(client, run, 'completed'))),
    );
    return { ms: performance.now() - began, preparingMs: prepared - began };
  } finally {
    await instances.close();
  }
}

async function move({ plans }, database, { plan, ...order }) {
  const { step, queries } = await plans.data(database, plan, order.leg, order.id);
  const whole = { ...order, act: step.act, attempt: 1 };
  const context = { tell: () => undefined, pause: (ms) => pause(ms), signal: new AbortController().signal };
  await (queries === null ? leaveData(database, whole, context) : runData(database, { ...whole, queries }, context));
}

const WAITS = { waiting: () => undefined, pause: (ms) => pause(ms) };
const CONTEXT = { progress: () => undefined, working: () => undefined, pause: (ms) => pause(ms) };

async function unwind({ plans, verdicts }, database, { run, plan, leg, tokens, direction }, steps) {
  for (const { seq, migration } of steps) {
    const { step, script } = await plans.step(database, plan, leg, seq);
    const check = verdicts.recall(run, database.name, seq, 1_000) ?? (await checkDatabase(database, run, seq));
    if (!check.clean) throw new Error(`${database.name} is dirty before step ${seq}: ${JSON.stringify(check.reasons)}`);
    const { name, execution, privileged } = step;
    const order = { run, database: database.name, seq, migration, name, direction, execution, privileged, script };
    const signal = new AbortController().signal;
    const applied = await applyStep(
      database,
      { ...order, token: tokens[database.name], attempt: 1 },
      { ...CONTEXT, check, signal },
    );
    verdicts.keep(run, database.name, applied.check);
  }
}
