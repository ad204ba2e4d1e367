import { Context } from '@temporalio/activity';
import { findDataMigration } from '../catalog/releases.js';
import { hookKindsOf } from '../config/hooks.js';
import type { Activities, MakeDataPlanInput } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { workflowIdOf } from '../contract/ids.js';
import type { OpenInstance } from '../instance/instances.js';
import { sha256, surveyAll } from '../instance/planning.js';
import type { Survey } from '../instance/survey.js';
import type { RunRow } from '../journal/runs.js';
import { makeDataPlan } from '../plan/data-plan.js';
import { claimedByAnother } from '../step/claim.js';
import type { ActivityDeps } from './deps.js';
import { summarizePlan } from './plan-summary.js';
import { storeRun } from './store-run.js';

/**
 * Plans one data migration on the schema that stands and stores the plan in the journal of its database, which is the only one that
 * its run claims: data migrations of two databases can run side by side, and a way, which claims all, excludes each.
 */
export function createMakeDataPlan({ instances, plans, searchAttributes }: ActivityDeps): Activities['makeDataPlan'] {
  return async (input) => {
    const instance = instances.open(input.instance);
    const { catalog, hash } = await instance.catalog();
    const names = instance.databases.map(({ name }) => name);
    const migration = findDataMigration(catalog, names, input.id); // said whatever state the databases are in
    const surveys = await surveyAll(instance, 'down');
    const database = instance.database(migration.database);
    const { runs } = surveys[migration.database] as Survey;
    if (!input.takeOver) await refuseBeside(input, migration.database, runs);
    const target = targetOf(input);
    const open = runs.find((run) => run.claimed && isOwn(run, input) && run.target === target);
    const plan =
      open === undefined
        ? makeDataPlan(
            {
              catalog,
              catalogHash: hash,
              id: input.id,
              direction: input.direction,
              databases: names,
              ledger: Object.fromEntries(Object.values(surveys).map((survey) => [survey.database, survey.state])),
            },
            sha256,
          )
        : await plans.plan(database, open.plan);
    if (open === undefined) {
      expectSettled(instance, surveys);
      await storeRun(instance, plan, surveys, input, target);
    }
    const { id, direction } = input;
    const run = open?.run ?? input.run;
    const { notify } = hookKindsOf(instance.config);
    return {
      ...(await summarizePlan(instance, plan, surveys, {
        run,
        resumed: open !== undefined,
        searchAttributes,
        hooks: notify === undefined ? {} : { notify }, // it stands still for none
      })),
      data: { id, direction, database: migration.database, description: migration.description },
    };
  };
}

/** Unlike any release: the run of a way must never take this one for its own. */
function targetOf({ id, direction }: MakeDataPlanInput): string {
  return `data migration ${id} ${direction}`;
}

function isOwn(run: RunRow, { owner }: MakeDataPlanInput): boolean {
  return run.namespace === owner.namespace && run.workflowId === owner.workflowId;
}

/**
 * A run that has claimed the database stands in its journal. One that still plans, or waits for consent, does not: its workflow is
 * asked for. Its plan would lose its run to our claim.
 * @throws {UnwindError} ClaimedByAnother
 */
async function refuseBeside(input: MakeDataPlanInput, database: string, runs: readonly RunRow[]): Promise<void> {
  const other = runs.find((run) => run.claimed && !isOwn(run, input));
  if (other !== undefined) throw claimedByAnother(database, other);
  const workflowId = workflowIdOf(input.instance);
  if (workflowId === input.owner.workflowId || !(await isRunning(workflowId))) return;
  throw new UnwindError(
    FailureType.ClaimedByAnother,
    `The instance "${input.instance}" is being taken to another release by the workflow ${workflowId} in the namespace ` +
      `${input.owner.namespace}, which runs the data migrations of its way by itself. Nothing was changed. Wait for its end, or end it ` +
      '(update "abort"); then start this one again.',
    { details: { workflowId, namespace: input.owner.namespace } },
  );
}

async function isRunning(workflowId: string): Promise<boolean> {
  const { client } = Context.current();
  const found = await client.workflow
    .getHandle(workflowId)
    .describe()
    .catch(() => null); // the claims have the last word
  return found?.status.name === 'RUNNING';
}

/** A step that an earlier run left half-way: its ledger says one thing and its schema another. */
function expectSettled({ config }: OpenInstance, surveys: Readonly<Record<string, Survey>>): void {
  const half = Object.values(surveys).filter(({ state, base }) => {
    const settled = new Set(base);
    return (state.begun ?? []).length > 0 || state.applied.some((id) => !settled.has(id));
  });
  if (half.length === 0) return;
  const names = half.map(({ database }) => `"${database}"`).join(', ');
  throw new UnwindError(
    FailureType.DataNotRunnable,
    `An earlier run left a step of ${names} half-way, so no release stands in the instance "${config.name}". Nothing was changed. Start that ` +
      'way again ("pg-unwind downgrade" or "pg-unwind upgrade"): it takes the step up where it stopped.',
    { details: { databases: half.map(({ database }) => database) } },
  );
}
