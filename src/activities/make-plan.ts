import { findRelease } from '../catalog/releases.js';
import { hookKindsOf } from '../config/hooks.js';
import type { Activities, MakePlanInput } from '../contract/activities.js';
import { HOOKS } from '../contract/hooks.js';
import type { Plan } from '../contract/plan.js';
import type { OpenInstance } from '../instance/instances.js';
import { expectKnown, planFrom, surveyAll } from '../instance/planning.js';
import type { Survey } from '../instance/survey.js';
import { stopsOf } from '../plan/stops.js';
import type { InstanceDatabase } from '../step/database.js';
import { rememberFingerprint } from '../step/release-fingerprint.js';
import type { ActivityDeps } from './deps.js';
import { hookWarnings } from './hook-check.js';
import { lostBefore } from './turned-back.js';
import { summarizePlan } from './plan-summary.js';
import { storeRun } from './store-run.js';

/**
 * Reads every ledger and journal of the instance, computes the plan and stores it with its scripts in every journal; only then
 * does it answer. A run of the same workflow to the same target that began and did not end goes on under its own plan.
 */
export function createMakePlan({ instances, plans, searchAttributes, env }: ActivityDeps): Activities['makePlan'] {
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
    const stops = stopsOf(plan, input.via);
    const summary = await summarizePlan(instance, plan, surveys, {
      run,
      resumed: open !== null,
      searchAttributes,
      stops,
      hooks: hookKindsOf(instance.config),
      consentTo: input.consentTo ?? null,
      lost: input.turnsBack === undefined ? [] : await lostBefore(instance, plans, input.turnsBack),
    });
    const called = HOOKS.filter((name) => name !== 'atStop' || stops.length > 0);
    return { ...summary, warnings: [...(await hookWarnings(instance.config, called, env)), ...summary.warnings] };
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
  await storeRun(instance, plan, surveys, input, plan.to.release, async (database, session) => {
    if (plan.from.release === null) return;
    const setHash = plan.from.setHash[database.name] ?? '';
    await rememberFingerprint(database, session, input.run, plan.from.release, setHash);
  });
  return plan;
}
