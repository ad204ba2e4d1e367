import { createHash } from 'node:crypto';
import { findRelease } from '../catalog/releases.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Direction, Plan } from '../contract/plan.js';
import { makePlan } from '../plan/plan.js';
import type { OpenInstance } from './instances.js';
import { surveyDatabase, type Survey } from './survey.js';

export interface PlannedInstance {
  readonly plan: Plan;
  readonly surveys: Readonly<Record<DatabaseName, Survey>>;
}

/** What is asked of an instance. */
export interface PlanOrder {
  readonly to: string;
  readonly direction: Direction;
  /** Guard: the release that the instance must stand at. */
  readonly from: string | null;
}

/**
 * Reads every database of the instance side by side and computes the plan. Writes nothing.
 * @throws {UnwindError} UnknownRelease before a database is asked; whatever `surveyDatabase` and `makePlan` say; of several
 *   databases the first in the configuration's order.
 */
export async function planInstance(instance: OpenInstance, order: PlanOrder): Promise<PlannedInstance> {
  await expectKnown(instance, order);
  return planFrom(instance, order, await surveyAll(instance, order.direction));
}

/** @throws {UnwindError} UnknownRelease with the nearest labels, InvalidCatalog. Asks no database. */
export async function expectKnown(instance: OpenInstance, { to, from }: PlanOrder): Promise<void> {
  const { catalog } = await instance.catalog();
  findRelease(catalog, to);
  if (from !== null) findRelease(catalog, from);
}

/** `planInstance` with what was read already. */
export async function planFrom(
  instance: OpenInstance,
  { to, direction, from }: PlanOrder,
  surveys: Readonly<Record<DatabaseName, Survey>>,
): Promise<PlannedInstance> {
  const { catalog, hash } = await instance.catalog();
  const plan = makePlan(
    {
      catalog,
      catalogHash: hash,
      direction,
      target: to,
      databases: instance.databases.map((database) => database.name),
      ledger: Object.fromEntries(Object.values(surveys).map((survey) => [survey.database, survey.state])),
    },
    sha256,
  );
  if (from !== null)
    expectFrom(
      plan,
      findRelease(catalog, from).release.labels.map((at) => catalog.labels[at]?.label),
      from,
    );
  return { plan, surveys };
}

export async function surveyAll(
  instance: OpenInstance,
  direction: Direction,
): Promise<Readonly<Record<DatabaseName, Survey>>> {
  const answers = await Promise.allSettled(instance.databases.map((database) => surveyDatabase(database, direction)));
  const failed = answers.find((answer) => answer.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  const surveys = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  for (const [at, survey] of surveys.entries()) {
    const same = surveys.slice(0, at).find((other) => other.physical === survey.physical);
    if (same !== undefined) throw sharedDatabase(instance, same.database, survey.database);
  }
  return Object.fromEntries(surveys.map((survey) => [survey.database, survey]));
}

function sharedDatabase(instance: OpenInstance, one: DatabaseName, other: DatabaseName): UnwindError {
  return new UnwindError(
    FailureType.InvalidConfig,
    `"${one}" and "${other}" of the instance "${instance.config.name}" are one and the same Postgres database. Each needs a journal and a lock ` +
      'of its own. Nothing was changed. Correct the connection references in pg-unwind.yaml.',
    { details: { databases: [one, other] } },
  );
}

export const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');

function expectFrom(plan: Plan, labels: readonly (string | undefined)[], from: string): void {
  if (plan.from.release !== null && labels.includes(plan.from.release)) return;
  throw new UnwindError(
    FailureType.InvalidInput,
    `The instance does not stand at ${from}, as "from" says, but ${plan.from.release === null ? 'between releases' : `at ${plan.from.release}`}. ` +
      'Nothing was changed. Correct "from", or leave it out.',
    { details: { from, found: plan.from.release } },
  );
}
