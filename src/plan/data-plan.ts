import { findDataMigration, handlerAt, newestHandler } from '../catalog/releases.js';
import type { DataDirection } from '../contract/activities.js';
import type { Catalog, CatalogDataMigration, DatabaseName, DataMigrationId } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Plan, PlannedDataStep } from '../contract/plan.js';
import { readLedgers, type AppliedState } from './applied.js';
import { expectedProgress } from './data-expected.js';
import { isSame, knownReleases, type IdSets, type KnownRelease } from './known-releases.js';
import { planId, setHash, type Sha256 } from './plan.js';
import { dataStepLabel, windowText } from './report.js';
import { windowHolds } from './standing-window.js';
import { dataWarnings } from './warnings.js';

export interface DataPlanInput {
  readonly catalog: Catalog;
  /** sha-256 of the catalog.json that `catalog` was read from. */
  readonly catalogHash: string;
  readonly id: DataMigrationId;
  readonly direction: DataDirection;
  /** The databases of the instance: which release stands is a matter of all of them. */
  readonly databases: readonly DatabaseName[];
  readonly ledger: Readonly<Record<DatabaseName, AppliedState>>;
}

/**
 * One data migration by itself, on the schema that stands: a plan of one leg without a schema step, of its own database alone.
 * Pure, as `makePlan` is.
 * @throws {UnwindError} UnknownDataMigration; DataNotRunnable: between releases, outside its window, or there is no such way back;
 *   UnknownMigration.
 */
export function makeDataPlan(input: DataPlanInput, sha256: Sha256): Plan {
  const { catalog, direction } = input;
  const migration = findDataMigration(catalog, input.databases, input.id);
  expectDirection(migration, direction);
  const { applied, standing } = standingRelease(catalog, input.databases, input.ledger);
  if (standing === null) throw betweenReleases(migration);
  if (!windowHolds(catalog, applied, migration)) throw outsideWindow(migration, standing);
  if (direction === 'reverse' && expectedProgress(catalog, input.databases, standing.label, migration) === 1)
    throw isDeprecated(migration, standing);
  const step: PlannedDataStep = {
    id: migration.id,
    database: migration.database,
    description: migration.description,
    direction,
    introduced: migration.introduced,
    deprecated: migration.deprecated,
    act: direction,
    // As in the plan of a way, so that a run that goes on behind another finds the same queries.
    handler: direction === 'forward' ? handlerAt(migration, standing.labelIndex) : newestHandler(migration),
    estimatedRows: migration.estimatedRows,
  };
  const database = catalog.databases.find(({ name }) => name === migration.database)!;
  const setHashes = { [database.name]: setHash(database, applied.get(database.name)!, sha256) };
  const plan: Omit<Plan, 'id'> = {
    planFormat: 1,
    product: catalog.product,
    direction: direction === 'forward' ? 'up' : 'down',
    catalog: input.catalogHash,
    from: { release: standing.label, setHash: setHashes },
    to: { release: standing.label, aliases: standing.aliases },
    databases: [database.name],
    notNested: [],
    legs: [
      {
        release: standing.label,
        aliases: standing.aliases,
        steps: { [database.name]: [] },
        setHash: setHashes,
        data: [step],
      },
    ],
    warnings: dataWarnings(step, false),
  };
  return { ...plan, id: planId(plan, sha256) };
}

/** The release whose sets are exactly the applied ones; null: the instance stands between releases. */
export function standingRelease(
  catalog: Catalog,
  names: readonly DatabaseName[],
  ledger: Readonly<Record<DatabaseName, AppliedState>>,
): { readonly applied: IdSets; readonly standing: KnownRelease | null } {
  const databases = catalog.databases.filter(({ name }) => names.includes(name));
  const applied: IdSets = new Map([...readLedgers(databases, ledger)].map(([database, { ids }]) => [database, ids]));
  const nobodyNamed = -1;
  const releases = knownReleases(catalog, databases, nobodyNamed);
  return { applied, standing: releases.find(({ sets }) => isSame(sets, applied)) ?? null };
}

function expectDirection(migration: CatalogDataMigration, direction: DataDirection): void {
  if (direction === 'forward' || migration.reversal === 'reversible') return;
  const handler = newestHandler(migration);
  if (migration.reversal === 'notNeeded' && (handler.kind === 'activity' || handler.reverse !== null)) return;
  throw notRunnable(
    migration,
    migration.reversal === 'notNeeded'
      ? 'need not be reversed, and has no reverse: older releases read the newer form too'
      : 'cannot be reversed: its author has given it no way back',
    'Only a backup of before, or statements of your own, bring the older form back.',
  );
}

function betweenReleases(migration: CatalogDataMigration): UnwindError {
  return notRunnable(
    migration,
    'cannot be run while the instance stands between releases: nothing says which form its schema is for',
    'Take the instance to a release first ("pg-unwind downgrade" or "pg-unwind upgrade").',
  );
}

function outsideWindow(migration: CatalogDataMigration, { label }: KnownRelease): UnwindError {
  return notRunnable(
    migration,
    `cannot be run at ${label}, where the instance stands: its queries are for the schema of other releases (${windowText(migration)})`,
    'Take the instance to one of those first; a downgrade or upgrade that passes them runs it by itself.',
  );
}

function isDeprecated(migration: CatalogDataMigration, { label }: KnownRelease): UnwindError {
  return notRunnable(
    migration,
    `cannot be reversed at ${label}, where the instance stands: that release deprecates it, and nothing there reads the older form`,
    'Take the instance to an earlier release; a downgrade to one from before it was introduced reverses it by itself.',
  );
}

function notRunnable(migration: CatalogDataMigration, why: string, goOn: string): UnwindError {
  const { id, database, introduced, deprecated } = migration;
  return new UnwindError(
    FailureType.DataNotRunnable,
    `${dataStepLabel(migration)} ${why}. Nothing was changed. ${goOn}`,
    { details: { id, database, introduced, deprecated } },
  );
}
