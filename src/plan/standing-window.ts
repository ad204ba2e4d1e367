import { findRelease, migrationIds } from '../catalog/releases.js';
import type { Catalog } from '../contract/catalog.js';
import type { PlannedDataStep } from '../contract/plan.js';
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
