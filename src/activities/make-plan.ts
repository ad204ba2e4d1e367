import { findRelease } from '../catalog/releases.js';
import { hookKindsOf } from '../config/hooks.js';
import { hashScript } from '../postgres/script.js';
import type { Activities, MakePlanInput, PlanSummary } from '../contract/activities.js';
import type { Plan } from '../contract/plan.js';
import { dataSteps } from '../journal/data.js';
import { storePlan } from '../journal/plans.js';
import { closedLegs, doneSteps, insertRun, isApproved } from '../journal/runs.js';
import type { InstanceDatabase } from '../step/database.js';
import type { OpenInstance } from '../instance/instances.js';
import { surveyData } from '../instance/data-survey.js';
import { expectKnown, planFrom, surveyAll } from '../instance/planning.js';
import { stopsOf } from '../plan/stops.js';
import { rememberFingerprint } from '../step/release-fingerprint.js';
import type { Survey } from '../instance/survey.js';
import type { ActivityDeps } from './deps.js';
import { countLosses } from './count-losses.js';
import { lossesOf, mayBeLost } from './plan-losses.js';

/**
 * Reads every ledger and journal of the instance, computes the plan and stores it with its scripts in every journal; only then
 * does it answer. A run of the same workflow to the same target that began and did not end goes on under its own plan.
 */
export function createMakePlan({ instances, plans, searchAttributes }: ActivityDeps): Activities['makePlan'] {
  return async (input) => {
    const instance = instances.open(input.instance);
    // A misspelt release is said whatever state the databases are in; only an open run needs no catalog, for the journal has
    // its plan (this worker's catalog may be older).
    const unknown = await expectKnown(instance, input).then(
      () => null,
      (error: unknown) => error,
    );
    const surveys = await surveyAll(instance, input.direction).catch((error: unknown) => {
      throw unknown ?? error;
    });
    const open = openRunOf(surveys, input, unknown === null ? await labelOf(instance, input.to) : input.to);
    if (open === null && unknown !== null) throw unknown;
    const plan =
      open === null
        ? await newPlan(instance, input, surveys)
        : await plans.plan(instance.databases[0] as InstanceDatabase, open.plan);
    const run = open?.run ?? input.run;
    return summarize(instance, plan, surveys, {
      run,
      resumed: open !== null,
      searchAttributes,
      stops: stopsOf(plan, input.via),
      consentTo: input.consentTo ?? null,
    });
  };
}

/** As the catalog spells it: `5.8.1579` and `v5.8.1579` are one target. */
async function labelOf(instance: OpenInstance, to: string): Promise<string> {
  return findRelease((await instance.catalog()).catalog, to).label.label;
}

/** Claimed, not ended, of this workflow, to this target, and the same in every database: anything less is planned anew. */
function openRunOf(
  surveys: Readonly<Record<string, Survey>>,
  input: MakePlanInput,
  target: string,
): { run: string; plan: string } | null {
  const all = Object.values(surveys).map(({ runs }) =>
    runs.find(
      (run) =>
        run.claimed &&
        run.namespace === input.owner.namespace &&
        run.workflowId === input.owner.workflowId &&
        run.direction === input.direction &&
        run.target === target,
    ),
  );
  const first = all[0];
  return first !== undefined && all.every((run) => run?.run === first.run && run.plan === first.plan) ? first : null;
}

async function newPlan(
  instance: OpenInstance,
  input: MakePlanInput,
  surveys: Readonly<Record<string, Survey>>,
): Promise<Plan> {
  const { plan } = await planFrom(instance, input, surveys);
  stopsOf(plan, input.via); // refused before anything is written
  const { readScript, catalog } = await instance.catalog();
  const stored = async (sha256: string) => {
    const body = await readScript(sha256);
    // A query of a data migration is no script: nothing is known about it but its text, and its facts are not asked for.
    return { sha256: hashScript(body), body, facts: catalog.scripts[sha256] as (typeof catalog.scripts)[string] };
  };
  await Promise.all(
    instance.databases.map(async (database) => {
      const survey = surveys[database.name] as Survey;
      await database.sessions.withSession(async ({ client }) => {
        if (!survey.hasLedger) await database.ledger.create(client, database.ledgerOptions);
      });
      await database.prepare({ make: true, anew: !survey.hasJournal });
      await database.sessions.withSession(async (session) => {
        const { client } = session;
        await storePlan(client, plan, database.name, stored);
        await insertRun(client, {
          run: input.run,
          plan: plan.id,
          instance: input.instance,
          direction: input.direction,
          target: plan.to.release,
          owner: input.owner,
          base: survey.base,
        });
        if (plan.from.release !== null) {
          await rememberFingerprint(
            database,
            session,
            input.run,
            plan.from.release,
            plan.from.setHash[database.name] ?? '',
          );
        }
      });
    }),
  );
  return plan;
}

async function summarize(
  instance: OpenInstance,
  plan: Plan,
  surveys: Readonly<Record<string, Survey>>,
  {
    run,
    resumed,
    searchAttributes,
    stops,
    consentTo,
  }: {
    run: string;
    resumed: boolean;
    searchAttributes: boolean;
    stops: readonly number[];
    consentTo: string | null;
  },
): Promise<PlanSummary> {
  const standing = await Promise.all(
    instance.databases.map((database) =>
      database.sessions.withSession(async ({ client }) => ({
        database: database.name,
        done: await doneSteps(client, run),
        data: plan.legs.some((leg) => leg.data !== undefined) ? await dataSteps(client, run) : [],
        closed: await closedLegs(client, run),
        approved: await isApproved(client, run, plan.id),
      })),
    ),
  );
  const passed = new Set(standing.flatMap(({ data }) => data.flatMap(({ id, done }) => (done ? [id] : []))));
  const progress = await surveyData(instance, plan, surveys, { wanted: (step) => mayBeLost(step, passed) });
  const losses = lossesOf(plan, passed, progress);
  const approved = standing.some((each) => each.approved);
  const asks = losses.count > 0 && !approved && plan.id !== consentTo;
  const { options } = instance.config;
  const hooks = hookKindsOf(instance.config);
  const perDatabase = <T>(of: (database: (typeof standing)[number]) => T) =>
    Object.fromEntries(standing.map((each) => [each.database, of(each)]));
  return {
    plan: plan.id,
    run,
    resumed,
    product: plan.product,
    direction: plan.direction,
    from: plan.from.release,
    to: plan.to.release,
    toAliases: plan.to.aliases,
    databases: plan.databases,
    ...(stops.length === 0 ? {} : { stops }),
    ...(Object.keys(hooks).length === 0 ? {} : { hooks }),
    legs: plan.legs.map((leg, at) => ({
      release: leg.release,
      steps: perDatabase(({ database }) => leg.steps[database]?.length ?? 0),
      done: perDatabase(
        ({ database, done }) => (leg.steps[database] ?? []).filter((step) => done.has(step.seq)).length,
      ),
      closed: standing.every(({ closed }) => closed.has(at)),
      ...(leg.data === undefined
        ? {}
        : {
            data: perDatabase(({ database }) => (leg.data ?? []).filter((step) => step.database === database).length),
            dataDone: perDatabase(({ data }) => data.filter((row) => row.leg === at && row.done).length),
          }),
    })),
    destructiveSteps: losses.count,
    destructiveExamples: losses.examples,
    ...(asks ? { losses: await countLosses(instance, plan, run) } : {}),
    approved,
    warnings: [
      ...Object.values(surveys).flatMap((survey) => survey.warnings),
      ...plan.warnings.map((warning) => warning.text),
    ].slice(0, 20),
    servers: Object.fromEntries(Object.values(surveys).map(({ database, physical }) => [database, physical])),
    searchAttributes,
    options: {
      stepTimeoutSeconds: options.stepTimeoutSeconds,
      heartbeatTimeoutSeconds: options.heartbeatTimeoutSeconds,
      maximumAttempts: options.maximumAttempts,
      workerWaitSeconds: options.workerWaitSeconds,
    },
  };
}
