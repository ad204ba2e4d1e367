import { findRelease, migrationIds } from '../catalog/releases.js';
import type { Catalog, CatalogDataMigration, DatabaseName } from '../contract/catalog.js';
import { isWithin, type IdSets } from './known-releases.js';

/**
 * Where a data migration must be when the instance stands at a release: at 0 before the release that introduces it, for nothing
 * there can read the newer form; at 1 from the one that deprecates it on, for nothing there can read the older one. Null: anywhere,
 * and that holds for what cannot be reversed, or need not be, on the schema of earlier releases.
 * @throws {UnwindError} UnknownRelease: the catalog does not know a label.
 */
export function expectedProgress(
  catalog: Catalog,
  databases: readonly DatabaseName[],
  release: string,
  { introduced, deprecated, reversal }: Pick<CatalogDataMigration, 'introduced' | 'deprecated' | 'reversal'>,
): 0 | 1 | null {
  const setsOf = (label: string): IdSets => {
    const found = findRelease(catalog, label).release;
    return new Map(databases.map((database) => [database, new Set(migrationIds(catalog, found, database))]));
  };
  const here = setsOf(release);
  if (deprecated !== null && isWithin(setsOf(deprecated), here)) return 1;
  return reversal === 'reversible' && !isWithin(setsOf(introduced), here) ? 0 : null;
}
