import canonicalJson from 'canonicalize';
import { compareIds } from '../catalog/graph.js';
import { findRelease, textAt } from '../catalog/releases.js';
import type { Catalog, CatalogDatabase, DatabaseName, MigrationId } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Direction, Plan, PlanId, PlanWarning, PlannedLeg, PlannedStep } from '../contract/plan.js';
import { readLedgers, type AppliedState } from './applied.js';
import { dataOfWay } from './data-steps.js';
import { downSet, upSet } from './down-set.js';
import { isSame, knownReleases, type IdSets, type KnownRelease } from './known-releases.js';
import { expectReachable } from './reachable.js';
import { releaseChain } from './release-chain.js';
import { expectRunnable, stepScript, type RefusedStep } from './step-script.js';
import { notNestedWarnings, stepWarnings } from './warnings.js';

/** Hex sha-256 of the text in UTF-8. Injected: Temporal's workflow sandbox has no `node:crypto`. */
export type Sha256 = (text: string) => string;

export interface PlanInput {
  readonly catalog: Catalog;
  /** sha-256 of the catalog.json that `catalog` was read from. */
  readonly catalogHash: string;
  readonly direction: Direction;
  /** A label of the release to go to; a leading `v` may be left out or added. */
  readonly target: string;
  /** The databases of the instance; the plan lists them in the order of the catalog. */
  readonly databases: readonly DatabaseName[];
  readonly ledger: Readonly<Record<DatabaseName, AppliedState>>;
}

/**
 * The whole way from what is applied to a release, decided before anything runs.
 * Pure: the same catalog, applied sets and target label give the same plan, to the byte.
 * @throws {UnwindError} UnknownRelease, UnknownMigration, TargetNotReachable, ScriptRefused; InvalidInput for a database that
 * the catalog does not have; InvalidCatalog for a catalog that contradicts itself. Each names everything that is wrong of its kind.
 */
export function makePlan(input: PlanInput, sha256: Sha256): Plan {
  const { catalog, direction } = input;
  const databases = planDatabases(input);
  const { labelIndex } = findRelease(catalog, input.target);
  const releases = knownReleases(catalog, databases, labelIndex);
  const target = releases.find((release) => release.labelIndex === labelIndex)!;
  const ledgers = readLedgers(databases, input.ledger);
  const applied: IdSets = new Map([...ledgers].map(([database, { ids }]) => [database, ids]));
  expectReachable(databases, releases, applied, target, direction);

  const [lower, upper] = direction === 'down' ? [target.sets, applied] : [applied, target.sets];
  const { between, notNested } = releaseChain(releases, lower, upper);
  const stops = isSame(applied, target.sets)
    ? []
    : [...(direction === 'down' ? between : between.toReversed()), target];
  const standing = releases.find(({ sets }) => isSame(sets, applied)) ?? null;

  const warnings: PlanWarning[] = notNestedWarnings(notNested);
  const refused: RefusedStep[] = [];
  const steps = stepMaker(input, target, standing, warnings, refused);
  const data = dataOfWay({ catalog, direction, databases, releases, applied, standing, stops });
  const legs: PlannedLeg[] = [];
  // The first stop is the start itself: its schema is there, so only data is left to be carried.
  if (standing !== null && data.atStart.length > 0) {
    legs.push({
      release: standing.label,
      aliases: standing.aliases,
      steps: perDatabase(databases, () => []),
      setHash: setHashes(databases, applied, sha256),
      data: data.atStart,
    });
  }
  let at = applied;
  for (const [index, stop] of stops.entries()) {
    const dataSteps = data.atStops[index] ?? [];
    legs.push({
      release: stop.label,
      aliases: stop.aliases,
      steps: perDatabase(databases, (database) => {
        const [from, to] = [at.get(database.name)!, stop.sets.get(database.name)!];
        return steps(database, from, to, ledgers.get(database.name)!.implied);
      }),
      setHash: setHashes(databases, stop.sets, sha256),
      ...(dataSteps.length > 0 ? { data: dataSteps } : {}), // no key where there are none: plans without data keep their ids
    });
    at = stop.sets;
  }
  warnings.push(...data.warnings);
  expectRunnable(refused, direction);

  const plan: Omit<Plan, 'id'> = {
    planFormat: 1,
    product: catalog.product,
    direction,
    catalog: input.catalogHash,
    from: { release: standing?.label ?? null, setHash: setHashes(databases, applied, sha256) },
    to: { release: target.label, aliases: target.aliases },
    databases: databases.map(({ name }) => name),
    notNested: notNested.map(({ label }) => label),
    legs,
    warnings,
  };
  return { ...plan, id: planId(plan, sha256) };
}

/** What the plan's `id` must be: over its canonical JSON, an `id` that it may already carry left out. */
export function planId(plan: Omit<Plan, 'id'>, sha256: Sha256): PlanId {
  // The package's types describe an ES module; it is CommonJS, so Node gives the function itself.
  const serialize = canonicalJson as unknown as (value: unknown) => string;
  return sha256(serialize({ ...plan, id: undefined }));
}

/** The `setHash` of an applied set, as a plan states it: over the comma-joined ids in the database's order. */
export function setHash(database: CatalogDatabase, ids: Iterable<MigrationId>, sha256: Sha256): string {
  return sha256([...new Set(ids)].sort(compareIds(database.idOrder)).join(','));
}

function setHashes(databases: readonly CatalogDatabase[], sets: IdSets, sha256: Sha256): Record<DatabaseName, string> {
  return perDatabase(databases, (database) => setHash(database, sets.get(database.name)!, sha256));
}

function perDatabase<T>(
  databases: readonly CatalogDatabase[],
  of: (database: CatalogDatabase) => T,
): Record<DatabaseName, T> {
  return Object.fromEntries(databases.map((database) => [database.name, of(database)]));
}

function planDatabases({ catalog, databases }: PlanInput): CatalogDatabase[] {
  const known = catalog.databases.map(({ name }) => name);
  const unknown = databases.filter((name) => !known.includes(name));
  if (unknown.length > 0 || databases.length === 0) {
    throw new UnwindError(
      FailureType.InvalidInput,
      (unknown.length > 0
        ? `The catalog of "${catalog.product}" has no database ${unknown.map((name) => `"${name}"`).join(', ')}. `
        : `No database of "${catalog.product}" was named. `) +
        `It has: ${known.join(', ')}. Nothing was changed. Correct the databases of the instance in the configuration.`,
      { details: { unknown, known } },
    );
  }
  return catalog.databases.filter(({ name }) => databases.includes(name));
}

/** Makes the steps of one leg in one database after another, numbers them, and collects what is to be said about them. */
function stepMaker(
  { catalog, direction }: PlanInput,
  target: KnownRelease,
  standing: KnownRelease | null,
  warnings: PlanWarning[],
  refused: RefusedStep[],
) {
  const seq = new Map<DatabaseName, number>();
  return (
    database: CatalogDatabase,
    from: ReadonlySet<MigrationId>,
    to: ReadonlySet<MigrationId>,
    implied: ReadonlySet<MigrationId>,
  ): PlannedStep[] => {
    const migrations = direction === 'down' ? downSet(database, from, to) : upSet(database, from, to);
    const steps: PlannedStep[] = [];
    for (const migration of migrations) {
      const facts = stepScript(catalog, migration, direction, target.labelIndex);
      const reason = facts === null ? `it has no ${direction} script` : facts.refused;
      if (facts === null || reason !== null) {
        refused.push({ database: database.name, migration: migration.id, name: migration.name, reason: reason! });
        continue;
      }
      seq.set(database.name, (seq.get(database.name) ?? 0) + 1);
      const step: PlannedStep = {
        seq: seq.get(database.name)!,
        migration: migration.id,
        name: migration.name,
        execution: facts.execution,
        script: facts.sha256,
        ledger: direction === 'up' ? 'absent' : implied.has(migration.id) ? 'implied' : 'row',
        privileged: migration.privileged,
        terminateBlockers: migration.terminateBlockers,
        destroys: facts.destroys,
        units: facts.units.length,
      };
      const own = standing === null ? null : textAt(migration, direction, standing.labelIndex).sha256;
      const olderTextIn = direction === 'down' && own !== null && own !== facts.sha256 ? standing!.label : null;
      warnings.push(...stepWarnings(database.name, step, facts, direction, olderTextIn));
      steps.push(step);
    }
    return steps;
  };
}
