import type { Catalog, CatalogRelease, DatabaseName, MigrationId, ScriptVersion } from '../contract/catalog.js';

/** The ids of a release in one database, in topological order; none where it does not have the database. */
export function migrationIds(catalog: Catalog, release: CatalogRelease, database: DatabaseName): MigrationId[] {
  const migrations = catalog.databases.find(({ name }) => name === database)?.migrations ?? [];
  const ranges = release.sets[database] ?? [];
  return ranges.flatMap(([first, last]) => migrations.slice(first, last + 1).map(({ id }) => id));
}

/** Hash of the newest text; null when there never was one. */
export function newestText(versions: readonly ScriptVersion[]): string | null {
  return versions.at(-1)?.sha256 ?? null;
}

/** Hash of the text that a label carries; null where its files have none. */
export function textAt(versions: readonly ScriptVersion[], label: number): string | null {
  const carries = ({ carriedBy }: ScriptVersion) => carriedBy.some(([first, last]) => first <= label && label <= last);
  return versions.find(carries)?.sha256 ?? null;
}
