import type { PlanSummary } from '../contract/activities.js';
import type { Plan } from '../contract/plan.js';
import { surveyData } from '../instance/data-survey.js';
import type { OpenInstance } from '../instance/instances.js';
import type { Survey } from '../instance/survey.js';
import { dataSteps } from '../journal/data.js';
import { readDurations } from '../journal/durations.js';
import { closedLegs, doneSteps, isApproved } from '../journal/runs.js';
import { expectedOf } from '../plan/expected.js';
import { countLosses } from './count-losses.js';
import { lossesOf, mayBeLost } from './plan-losses.js';

/** What the workflow needs to know of a plan, with what the journals say of its run. */
export async function summarizePlan(
  instance: OpenInstance,
  plan: Plan,
  surveys: Readonly<Record<string, Survey>>,
  {
    run,
    resumed,
    searchAttributes,
    stops = [],
    hooks = {},
    consentTo = null,
    lost = [],
  }: Pick<PlanSummary, 'run' | 'resumed' | 'searchAttributes' | 'stops' | 'hooks'> & {
    /** The plan that the input consents to: nobody is asked then, and nothing counted. */
    consentTo?: string | null;
    /** What a run that is being taken back has destroyed, for people. */
    lost?: readonly string[];
  },
): Promise<PlanSummary> {
  const own = instance.databases.filter(({ name }) => plan.databases.includes(name));
  const ownSurveys = Object.values(surveys).filter(({ database }) => plan.databases.includes(database));
  const standing = await Promise.all(
    own.map((database) =>
      database.sessions.withSession(async ({ client }) => ({
        database: database.name,
        done: await doneSteps(client, run),
        data: plan.legs.some((leg) => leg.data !== undefined) ? await dataSteps(client, run) : [],
        closed: await closedLegs(client, run),
        approved: await isApproved(client, run, plan.id),
        durations: await readDurations(client, plan.id),
      })),
    ),
  );
  const passed = new Set(standing.flatMap(({ data }) => data.flatMap(({ id, done }) => (done ? [id] : []))));
  const progress = await surveyData(instance, plan, surveys, { wanted: (step) => mayBeLost(step, passed) });
  const losses = lossesOf(plan, passed, progress);
  const approved = standing.some((each) => each.approved);
  const asks = losses.count > 0 && !approved && plan.id !== consentTo;
  const { options } = instance.config;
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
      ...lost,
      ...ownSurveys.flatMap((survey) => survey.warnings),
      ...plan.warnings.map((warning) => warning.text),
    ].slice(0, 20),
    servers: Object.fromEntries(ownSurveys.map(({ database, physical }) => [database, physical])),
    searchAttributes,
    memo: true,
    expected: expectedOf(
      plan,
      perDatabase(({ durations }) => durations),
    ),
    options: {
      stepTimeoutSeconds: options.stepTimeoutSeconds,
      heartbeatTimeoutSeconds: options.heartbeatTimeoutSeconds,
      maximumAttempts: options.maximumAttempts,
      workerWaitSeconds: options.workerWaitSeconds,
    },
  };
}
