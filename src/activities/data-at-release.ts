import { newestHandler } from '../catalog/releases.js';
import { compareVersions, parseVersion } from '../catalog/version.js';
import type { Catalog, CatalogDataMigration } from '../contract/catalog.js';
import type { DirtyReason } from '../contract/dirty.js';
import type { Plan, PlannedDataStep } from '../contract/plan.js';
import { describeWriters } from '../contract/writers.js';
import { progressOf } from '../instance/data-survey.js';
import type { OpenInstance } from '../instance/instances.js';
import { acceptedData, dataSteps } from '../journal/data.js';
import { readFirstVersion } from '../journal/ledgers/release-marker.js';
import { closedLegs } from '../journal/runs.js';
import { expectedProgress } from '../plan/data-expected.js';
import { leavesWindow } from '../plan/standing-window.js';
import { askValue } from '../postgres/ask-value.js';
import type { InstanceDatabase } from '../step/database.js';
import { reasonOf, type DataNotAtEnd } from '../step/reasons.js';
import { findWriters } from '../step/writers.js';
import type { ActivityDeps } from './deps.js';

/** One progress query. The runner has asked it a moment ago; what takes longer now is passed over, and said. */
const QUERY_MS = 60_000;
/** All of them in one database: the activity has five minutes (workflows/proxies.ts). */
const ALL_MS = 180_000;

/**
 * Is every data migration where it must be at the release of this leg? Those that the leg has moved are asked of their data
 * once more, when nobody may have made new rows, and so are those that cannot be asked behind it; of the others the product's
 * own record is read, where it keeps one.
 */
export async function dataAtRelease(
  { instances, plans, log }: Pick<ActivityDeps, 'instances' | 'plans' | 'log'>,
  { instance, run, plan, leg }: { instance: string; run: string; plan: Plan; leg: number },
  database: InstanceDatabase,
): Promise<{ readonly reasons: readonly DirtyReason[]; readonly warnings: readonly string[] }> {
  const warnings: string[] = [];
  const unasked = (text: string) => void warnings.push(text);
  const found = await findNotAtEnd({ instances, plans, log }, { instance, run, plan, leg }, database, unasked);
  if (found.length === 0) return { reasons: [], warnings };
  const reason = reasonOf({ code: 'dataNotAtEnd', data: found }, database.name);
  const evidence = reason.evidence + (await whoIsThere(instances.open(instance), database));
  return { reasons: [{ ...reason, evidence }], warnings };
}

/**
 * Those that are not where they must be, but for what an operator has accepted here as it was found.
 * @param unasked - Told of those that gave no answer, which are passed over.
 */
export async function findNotAtEnd(
  { instances, plans, log }: Pick<ActivityDeps, 'instances' | 'plans' | 'log'>,
  { instance, run, plan, leg }: { instance: string; run: string; plan: Plan; leg: number },
  database: InstanceDatabase,
  unasked: (text: string) => void = () => undefined,
): Promise<readonly DataNotAtEnd[]> {
  const catalog = await catalogOf(instances.open(instance));
  const moved = movedUntil(plan, leg, database, catalog);
  const asked = new Set(moved.map(({ step }) => step.id));
  const others = (catalog?.dataMigrations ?? []).filter(
    ({ id, database: of }) => of === database.name && !asked.has(id),
  );
  // Before any question: most databases have none, and over a slow line each leg would pay for it.
  if (moved.length + others.length === 0) return [];
  if (await isPassed(database, run, leg)) return [];
  const found: DataNotAtEnd[] = [];
  const until = performance.now() + ALL_MS;
  for (const { step, leg: movedAt } of moved) {
    const expected = step.act === 'forward' ? 1 : 0;
    const { queries } = await plans.data(database, plan.id, movedAt, step.id);
    if (queries === null) continue;
    const progress = await ask(database, queries.progress, step, Math.min(QUERY_MS, until - performance.now()));
    if (progress === null) {
      const text =
        `${database.name} data migration ${step.id}: its progress could not be asked at ${plan.legs[leg]?.release ?? 'the end'} (it failed, or took ` +
        `longer than ${QUERY_MS / 1_000} s): nobody knows whether it is still at ${expected}`;
      log.warn({ instance, database: database.name, data: step.id }, text);
      unasked(text);
    } else if (progress !== expected) {
      found.push({ id: step.id, description: step.description, expected, found: progress, recorded: false });
    }
  }
  if (catalog !== null && others.length > 0) {
    found.push(...(await recordedElsewhere(catalog, others, plan, leg, database)));
  }
  if (found.length === 0) return [];
  const accepted = await database.sessions.withSession(({ client }) => acceptedData(client, run, leg));
  return found.filter(
    ({ id, expected, found: at }) =>
      !accepted.some((each) => each.id === id && each.expected === expected && each.found === at),
  );
}

/** Those who may have made the rows, where they are still connected; a hint, so a failure is none. */
async function whoIsThere({ config }: OpenInstance, database: InstanceDatabase): Promise<string> {
  const found = database.sessions.withSession(({ client }) => findWriters(client, database, config.options.writers));
  const writers = await found.catch(() => []);
  return writers.length === 0 ? '' : `; connected now: ${describeWriters(writers)}`;
}

/** The plan comes from the journal: this worker's catalog may be older, or not be there (null). */
function catalogOf(opened: OpenInstance): Promise<Catalog | null> {
  return opened.catalog().then(
    ({ catalog }) => catalog,
    () => null,
  );
}

/** A reset makes a workflow verify again what it has left behind: the data is that of a later release by then. */
function isPassed({ sessions }: InstanceDatabase, run: string, leg: number): Promise<boolean> {
  return sessions.withSession(async ({ client }) => {
    const closed = await closedLegs(client, run);
    const begun = await dataSteps(client, run);
    return [...closed, ...begun.map((step) => step.leg)].some((each) => each > leg);
  });
}

/**
 * What this leg has moved; and what an earlier one has taken back, where the way leaves its window behind this leg: at a stop between
 * the two an application that reads both forms may have written the newer one again, and nobody could ask any more.
 */
function movedUntil(
  plan: Plan,
  at: number,
  { name }: InstanceDatabase,
  catalog: Catalog | null,
): readonly { readonly step: PlannedDataStep; readonly leg: number }[] {
  const isAsked = (step: PlannedDataStep, leg: number) =>
    leg === at
      ? step.act === 'forward' || step.act === 'reverse'
      : step.act === 'reverse' && catalog !== null && leavesWindow(catalog, plan, at, step);
  return plan.legs
    .slice(0, at + 1)
    .flatMap(({ data = [] }, leg) =>
      data.filter((step) => step.database === name && isAsked(step, leg)).map((step) => ({ step, leg })),
    );
}

async function ask({ sessions }: InstanceDatabase, text: string, { direction }: PlannedDataStep, ms: number) {
  if (ms <= 0) return null;
  const value = await sessions.withSession(({ client }) => askValue(client, text, ms)).catch(() => undefined);
  return progressOf(value, direction);
}

async function recordedElsewhere(
  catalog: Catalog,
  own: readonly CatalogDataMigration[],
  plan: Plan,
  leg: number,
  database: InstanceDatabase,
): Promise<readonly DataNotAtEnd[]> {
  const { recorded, firstVersion } = await database.sessions.withSession(async ({ client }) => ({
    recorded: await database.ledger.dataProgress(client, database.ledgerOptions),
    firstVersion: database.marker === null ? null : await readFirstVersion(client, database.marker),
  }));
  const release = plan.legs[leg]?.release ?? plan.to.release;
  return own.flatMap((migration) => {
    // What moves by an activity has no query to ask against: whether the product keeps its record too, nobody here can know.
    if (newestHandler(migration).kind === 'activity') return [];
    const found = recorded.get(migration.id);
    const expected = found === undefined ? null : expectedAt(migration);
    if (found === undefined || expected === null || found === expected) return [];
    if (expected === 1 && !wasBornBefore(migration, firstVersion)) return [];
    return [{ id: migration.id, description: migration.description, expected, found, recorded: true }];
  });

  function expectedAt(migration: CatalogDataMigration): 0 | 1 | null {
    try {
      return expectedProgress(catalog, plan.databases, release, migration);
    } catch {
      return null; // an older catalog does not know the release
    }
  }
}

/** An instance that was born in the newer form never ran it, and its record may say anything. */
function wasBornBefore({ deprecated }: CatalogDataMigration, firstVersion: string | null): boolean {
  const [first, end] = [firstVersion, deprecated].map((text) => (text === null ? null : parseVersion(text)));
  return first != null && end != null && compareVersions(first, end) < 0;
}
