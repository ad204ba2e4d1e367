import type pg from 'pg';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { DatabaseName } from '../contract/catalog.js';
import type { Plan, PlannedDataStep, PlannedStep } from '../contract/plan.js';
import type { DataQueries } from '../data/order.js';
import { readQueries } from '../journal/data.js';
import { readPlan, readScripts, type StoredScript } from '../journal/plans.js';
import type { InstanceDatabase } from '../step/database.js';
import { namingBlockers } from '../step/lock-waits.js';

/** Plans and scripts as the journals hold them; both are named by their content, so what was read once stays true. */
export interface PlanCache {
  plan(database: InstanceDatabase, id: string): Promise<Plan>;
  /** A step of the plan with its script. @throws {UnwindError} JournalIncomplete. */
  step(
    database: InstanceDatabase,
    plan: string,
    leg: number,
    seq: number,
  ): Promise<{ step: PlannedStep; script: StoredScript; total: number }>;
  /** A data migration of the plan; `queries` null: nothing is to be done by us. @throws {UnwindError} JournalIncomplete. */
  data(
    database: InstanceDatabase,
    plan: string,
    leg: number,
    id: string,
  ): Promise<{ step: PlannedDataStep; queries: DataQueries | null }>;
}

/** A worker that serves a hundred instances of one product reads mostly the same plans and scripts. */
const MAX_PLANS = 64;
const MAX_SCRIPT_BYTES = 64 * 1024 * 1024;

export function createPlanCache(): PlanCache {
  const plans = new Map<string, Plan>();
  const scripts = new Map<string, StoredScript>();
  let scriptBytes = 0;

  async function plan(database: InstanceDatabase, id: string): Promise<Plan> {
    const known = plans.get(id);
    if (known !== undefined) return known;
    const read = await reading(database, (client) => readPlan(client, id, database.name));
    plans.set(id, read);
    if (plans.size > MAX_PLANS) plans.delete(plans.keys().next().value as string);
    return read;
  }

  /** A leg's scripts together: one round trip for all of its steps. */
  async function script(
    database: InstanceDatabase,
    planId: string,
    leg: number,
    sha256: string,
  ): Promise<StoredScript> {
    const known = scripts.get(sha256);
    if (known !== undefined) return known;
    const read = await reading(database, (client) => readScripts(client, planId, leg, database.name));
    for (const each of read) {
      if (scripts.has(each.sha256)) continue;
      scripts.set(each.sha256, each);
      scriptBytes += each.facts.bytes;
    }
    for (const [oldest, { facts }] of scripts) {
      if (scriptBytes <= MAX_SCRIPT_BYTES) break;
      scripts.delete(oldest);
      scriptBytes -= facts.bytes;
    }
    const found = read.find((each) => each.sha256 === sha256);
    if (found === undefined) throw incomplete(database.name, planId, `script ${sha256}`);
    return found;
  }

  return {
    plan,
    async step(database, planId, leg, seq) {
      const whole = await plan(database, planId);
      const step = whole.legs[leg]?.steps[database.name]?.find((each) => each.seq === seq);
      if (step === undefined) throw incomplete(database.name, planId, `step ${seq} of leg ${leg + 1}`);
      return { step, script: await script(database, planId, leg, step.script), total: stepsOf(whole, database.name) };
    },
    async data(database, planId, leg, id) {
      const whole = await plan(database, planId);
      const step = whole.legs[leg]?.data?.find((each) => each.database === database.name && each.id === id);
      if (step === undefined) throw incomplete(database.name, planId, `data migration ${id} of leg ${leg + 1}`);
      const wanted = queriesOf(step);
      if (wanted === null) return { step, queries: null };
      const texts = await database.sessions.withSession(({ client }) =>
        readQueries(
          client,
          Object.values(wanted).filter((sha256) => sha256 !== null),
          database.name,
        ),
      );
      const text = (sha256: string) => texts.get(sha256) as string; // as: readQueries has all, or throws
      return {
        step,
        queries: {
          progress: text(wanted.progress),
          batch: text(wanted.batch),
          verify: wanted.verify === null ? null : text(wanted.verify),
        },
      };
    },
  };
}

/**
 * Plans and scripts are large, and over a slow line they have a minute and a half; a path that has fallen silent is found out in
 * seconds all the same.
 */
function reading<T>(database: InstanceDatabase, work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
  const doing = { doing: 'Reading the plan', tell: () => undefined };
  return database.sessions.withSession((session) =>
    namingBlockers(database, session, doing, () => work(session.client)),
  );
}

function stepsOf(plan: Plan, database: DatabaseName): number {
  return plan.legs.reduce((sum, leg) => sum + (leg.steps[database]?.length ?? 0), 0);
}

/** The hashes of the queries that a direction needs. */
export function queriesOf({ act, handler }: PlannedDataStep): DataQueries | null {
  if (handler.kind !== 'sql' || act === 'leave' || act === 'lose') return null;
  const forward = act === 'forward';
  const batch = forward ? handler.forward : handler.reverse;
  if (batch === null) return null;
  return { progress: handler.progress, batch, verify: forward ? handler.verifyForward : handler.verifyReverse };
}

function incomplete(database: string, plan: string, what: string): UnwindError {
  return new UnwindError(
    FailureType.JournalIncomplete,
    `The journal of "${database}" lacks ${what} of plan ${plan}. Nothing was changed. Abort this run and start again: the new one plans from journal and ledger.`,
  );
}
