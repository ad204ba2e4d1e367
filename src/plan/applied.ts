import { compareIds } from '../catalog/graph.js';
import { impliedBy } from '../catalog/releases.js';
import type { CatalogDatabase, DatabaseName, MigrationId } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';

/** What a database's ledger says, whatever its format. */
export interface AppliedState {
  /** Ids whose last row says that they are applied. */
  readonly applied: readonly MigrationId[];
  /** Ids whose last row says that they were undone: never implied by a squashed root. */
  readonly absent: readonly MigrationId[];
  /** Ids whose up began and did not end: still to be made, and they vouch for nothing. */
  readonly begun?: readonly MigrationId[];
}

/** The applied set of a database, with those ids that only a squashed root vouches for. */
export interface AppliedSet {
  readonly ids: ReadonlySet<MigrationId>;
  readonly implied: ReadonlySet<MigrationId>;
}

/**
 * Reads a ledger the way its product means it: an instance born after a squash has only the squashed root, which stands for
 * every ancestor. An ancestor with a row of its own is what that row says.
 */
export function readApplied(database: CatalogDatabase, state: AppliedState): AppliedSet {
  const rows = new Set(state.applied);
  const begun = new Set(state.begun);
  // A root that was undone has a row too: what it stood for and has no row of its own is still there.
  const vouching = new Set([...state.applied, ...state.absent]);
  const implied = new Set([...impliedBy(database, vouching)].filter((id) => !begun.has(id)));
  return { ids: new Set([...rows, ...implied]), implied };
}

/**
 * The applied sets of all databases of an instance.
 * @throws {UnwindError} UnknownMigration: ids that no release of the catalog knows, of all databases at once.
 */
export function readLedgers(
  databases: readonly CatalogDatabase[],
  ledger: Readonly<Record<DatabaseName, AppliedState>>,
): Map<DatabaseName, AppliedSet> {
  const unknown: Record<DatabaseName, MigrationId[]> = {};
  const applied = new Map<DatabaseName, AppliedSet>();
  for (const database of databases) {
    const state = ledger[database.name];
    if (state === undefined) {
      throw new UnwindError(
        FailureType.InvalidInput,
        `What is applied in "${database.name}" was not read: the plan needs the ledger of every database of the instance.`,
        { details: { database: database.name } },
      );
    }
    const known = new Set(database.migrations.map((migration) => migration.id));
    const strange = state.applied.filter((id) => !known.has(id)).toSorted(compareIds(database.idOrder));
    if (strange.length > 0) unknown[database.name] = strange;
    applied.set(database.name, readApplied(database, state));
  }
  if (Object.keys(unknown).length > 0) {
    const lists = Object.entries(unknown).map(([database, ids]) => `"${database}": ${ids.join(', ')}`);
    throw new UnwindError(
      FailureType.UnknownMigration,
      `The ledger says that migrations are applied which no release of the catalog knows, in ${lists.join('; ')}. ` +
        'No down script is known for them, so nothing was planned or changed. Build a catalog that includes the release which ' +
        'carries them ("pg-unwind catalog build"), then plan again.',
      { details: { unknown } },
    );
  }
  return applied;
}
