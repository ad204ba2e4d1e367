import type { OpenCatalog } from '../catalog/store.js';
import type { DatabaseName, DataMigrationId } from '../contract/catalog.js';
import type { Plan, PlannedDataStep } from '../contract/plan.js';
import { readLedgers } from '../plan/applied.js';
import { dataSteps } from '../plan/report.js';
import { windowHolds } from '../plan/standing-window.js';
import { askValue } from '../postgres/ask-value.js';
import type { InstanceDatabase } from '../step/database.js';
import type { OpenInstance } from './instances.js';
import type { Survey } from './survey.js';

/** From 0 to 1; null: nobody knows. */
export type DataProgress = Readonly<Record<DataMigrationId, number | null>>;

export interface DataSurveyLimits {
  /** One query. Milliseconds. */
  readonly queryMs: number;
  /** All queries of one database together: a plan must not wait for twenty tables to be counted. */
  readonly databaseMs: number;
}

export const DATA_SURVEY: DataSurveyLimits = { queryMs: 10_000, databaseMs: 40_000 };

/**
 * How far the data migrations of a plan are, as their data says: asked of the schema that stands, where that lies in their window.
 * Of the others, and of handlers that are no SQL, what the product has noted itself, where it notes it. Reads only, and never
 * fails: what cannot be known in time is null.
 */
export async function surveyData(
  instance: OpenInstance,
  plan: Plan,
  surveys: Readonly<Record<DatabaseName, Survey>>,
  { wanted = () => true, limits }: { wanted?: (step: PlannedDataStep) => boolean; limits?: DataSurveyLimits } = {},
): Promise<DataProgress> {
  const steps = dataSteps(plan).flatMap(({ step }) => (wanted(step) ? [step] : []));
  const { asked, noted } = await surveySteps(instance, steps, surveys, limits);
  return Object.fromEntries(steps.map(({ id }) => [id, asked[id] ?? noted[id] ?? null]));
}

/** What a survey needs to know of a data migration; `direction` says what an empty table means. */
export type Surveyed = Pick<PlannedDataStep, 'id' | 'database' | 'introduced' | 'deprecated' | 'direction' | 'handler'>;

/** The same for any data migrations, with what the data says and what the product has noted set apart. */
export async function surveySteps(
  instance: OpenInstance,
  steps: readonly Surveyed[],
  surveys: Readonly<Record<DatabaseName, Survey>>,
  limits: DataSurveyLimits = DATA_SURVEY,
): Promise<{ readonly asked: DataProgress; readonly noted: DataProgress }> {
  if (steps.length === 0) return { asked: {}, noted: {} };
  const texts = await textsToAsk(instance, surveys, steps);
  const noted: Record<DataMigrationId, number> = {};
  const asked: Record<DataMigrationId, number | null> = {};
  await Promise.all(
    instance.databases.map(async (database) => {
      Object.assign(noted, await notedBy(database));
      const own = [...texts].filter(([{ database: name }]) => name === database.name);
      Object.assign(asked, await askAll(database, own, limits));
    }),
  );
  return { asked, noted };
}

/** The progress queries that fit the schema which stands. */
async function textsToAsk(
  instance: OpenInstance,
  surveys: Readonly<Record<DatabaseName, Survey>>,
  steps: readonly Surveyed[],
): Promise<ReadonlyMap<Surveyed, string>> {
  const texts = new Map<Surveyed, string>();
  // A run that goes on has its plan from the journal: this catalog may be older, or not be there at all.
  const opened = await instance.catalog().catch(() => null);
  const applied = opened === null ? null : appliedSets(opened, surveys);
  if (opened === null || applied === null) return texts;
  for (const step of steps) {
    if (step.handler.kind !== 'sql') continue;
    try {
      if (windowHolds(opened.catalog, applied, step)) texts.set(step, await opened.readScript(step.handler.progress));
    } catch {
      // this catalog knows less than the plan
    }
  }
  return texts;
}

function appliedSets({ catalog }: OpenCatalog, surveys: Readonly<Record<DatabaseName, Survey>>) {
  try {
    const databases = catalog.databases.filter(({ name }) => surveys[name] !== undefined);
    const states = Object.fromEntries(Object.values(surveys).map(({ database, state }) => [database, state]));
    return new Map([...readLedgers(databases, states)].map(([database, { ids }]) => [database, ids]));
  } catch {
    return null;
  }
}

async function notedBy(database: InstanceDatabase): Promise<Readonly<Record<DataMigrationId, number>>> {
  const read = database.sessions.withSession(({ client }) =>
    database.ledger.dataProgress(client, database.ledgerOptions),
  );
  return Object.fromEntries(await read.catch(() => new Map<DataMigrationId, number>()));
}

/** One after another: counting a table is work enough for a server that the product still uses. */
async function askAll(
  database: InstanceDatabase,
  texts: readonly (readonly [Surveyed, string])[],
  { queryMs, databaseMs }: DataSurveyLimits,
): Promise<Record<DataMigrationId, number | null>> {
  const answers: Record<DataMigrationId, number | null> = {};
  const until = performance.now() + databaseMs;
  for (const [{ id, direction }, text] of texts) {
    const left = Math.min(queryMs, until - performance.now());
    if (left <= 0) break;
    answers[id] = await database.sessions
      .withSession(async ({ client }) => progressOf(await askValue(client, text, left), direction))
      .catch(() => null);
  }
  return answers;
}

/**
 * What a progress query answered, from 0 to 1. Null in it, as over an empty table, is the end that the direction leads to: there is
 * nothing to move. Null from here: it is no progress.
 */
export function progressOf(value: unknown, direction: PlannedDataStep['direction']): number | null {
  if (value === null) return direction === 'forward' ? 1 : 0;
  const share = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof share === 'number' && share >= 0 && share <= 1 ? share : null;
}
