import { findRelease, migrationIds } from '../catalog/releases.js';
import type { Catalog } from '../contract/catalog.js';
import type { Plan, PlannedDataStep } from '../contract/plan.js';
import { isSame, isWithin, type IdSets } from './known-releases.js';

/**
 * Does the schema that stands now lie in the window of a data migration, so that its queries fit? It holds what the release that
 * introduced it has, and nothing beyond the one that deprecates it. Between releases too.
 * @throws {UnwindError} UnknownRelease: the catalog does not know a label.
 */
export function windowHolds(
  catalog: Catalog,
  applied: IdSets,
  { introduced, deprecated }: Pick<PlannedDataStep, 'introduced' | 'deprecated'>,
): boolean {
  const setsOf = (label: string): IdSets => {
    const { release } = findRelease(catalog, label);
    return new Map(
      [...applied.keys()].map((database) => [database, new Set(migrationIds(catalog, release, database))]),
    );
  };
  if (!isWithin(setsOf(introduced), applied)) return false;
  if (deprecated === null) return true;
  const end = setsOf(deprecated);
  return !isWithin(end, applied) || isSame(end, applied);
}

/** Is the release of this leg the last on the way whose schema lies in the window? What the catalog does not know lies in none. */
export function leavesWindow(
  catalog: Catalog,
  { legs, databases }: Plan,
  leg: number,
  window: Pick<PlannedDataStep, 'introduced' | 'deprecated'>,
): boolean {
  const holdsAt = (at: number): boolean => {
    const label = legs[at]?.release;
    if (label === undefined) return false;
    try {
      const { release } = findRelease(catalog, label);
      const sets = new Map(databases.map((database) => [database, new Set(migrationIds(catalog, release, database))]));
      return windowHolds(catalog, sets, window);
    } catch {
      return false;
    }
  };
  return holdsAt(leg) && !holdsAt(leg + 1);
}
