import type { CatalogDatabase, CatalogMigration, MigrationId } from '../contract/catalog.js';

/**
 * What leads from one applied set down to another, in the order to undo it: the reverse of the catalog's topological order
 * (Kahn, smallest free id first). Never "the descendants of the target": a branch that was merged late hangs beside it
 * (reference sourcegraph-migrator.md §8.3, R1 and R2).
 */
export function downSet(
  database: CatalogDatabase,
  from: ReadonlySet<MigrationId>,
  to: ReadonlySet<MigrationId>,
): CatalogMigration[] {
  return upSet(database, to, from).reverse();
}

/** What leads from one applied set up to another, in the order to apply it: parents first. */
export function upSet(
  database: CatalogDatabase,
  from: ReadonlySet<MigrationId>,
  to: ReadonlySet<MigrationId>,
): CatalogMigration[] {
  return database.migrations.filter(({ id }) => to.has(id) && !from.has(id));
}
