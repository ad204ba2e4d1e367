import { distance } from 'fastest-levenshtein';

import type {
  Catalog,
  CatalogDatabase,
  CatalogDataMigration,
  CatalogLabel,
  CatalogMigration,
  CatalogRelease,
  DatabaseName,
  DataHandler,
  DataMigrationId,
  MigrationId,
  ScriptVersion,
} from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { ancestors } from './graph.js';
import { inRanges, rangesHold } from './ranges.js';

export interface FoundRelease {
  readonly release: CatalogRelease;
  /** The one asked for. */
  readonly label: CatalogLabel;
  readonly labelIndex: number;
  /** Other labels of the same release, first published first. */
  readonly aliases: readonly string[];
}

/**
 * The release of a label; a leading `v` may be left out or added.
 * @throws {UnwindError} UnknownRelease: names the labels that look most like it.
 */
export function findRelease(catalog: Catalog, label: string): FoundRelease {
  const labelIndex = findLabel(catalog.labels, label);
  const release = catalog.releases.find(({ labels }) => labelIndex !== undefined && labels.includes(labelIndex));
  const entry = labelIndex === undefined ? undefined : catalog.labels[labelIndex];
  if (labelIndex === undefined || release === undefined || entry === undefined) throw unknownRelease(catalog, label);
  const aliases = release.labels.filter((i) => i !== labelIndex).flatMap((i) => catalog.labels[i]?.label ?? []);
  return { release, label: entry, labelIndex, aliases };
}

/** Its index; a leading `v` may be left out or added. */
export function findLabel(labels: readonly CatalogLabel[], label: string): number | undefined {
  const spellings = [label, `v${label}`, label.replace(/^v/, '')];
  return spellings.map((spelling) => labels.findIndex((it) => it.label === spelling)).find((i) => i >= 0);
}

/** The three labels that look most like it. */
export function nearestLabels(labels: readonly CatalogLabel[], label: string): string[] {
  return labels
    .map((it) => ({ label: it.label, far: distance(it.label.replace(/^v/, ''), label.replace(/^v/, '')) }))
    .sort((a, b) => a.far - b.far) // stable: equally far ones stay in version order
    .slice(0, 3)
    .map((it) => it.label);
}

function unknownRelease(catalog: Catalog, label: string): UnwindError {
  const nearest = nearestLabels(catalog.labels, label);
  const first = catalog.labels[0]?.label;
  const last = catalog.labels.at(-1)?.label;
  return new UnwindError(
    FailureType.UnknownRelease,
    `The catalog of "${catalog.product}" has no release "${label}". Nearest: ${nearest.join(', ') || 'none'}. ` +
      `It holds ${catalog.labels.length} labels, ${first} to ${last}; build it again if "${label}" is newer. Nothing was changed.`,
    { details: { label, nearest } },
  );
}

/** The database of that name; null: the product has none. */
export function findDatabase(catalog: Catalog, database: DatabaseName): CatalogDatabase | null {
  return catalog.databases.find(({ name }) => name === database) ?? null;
}

/** The ids that a release holds in a database, parents first; none where the release does not have the database. */
export function migrationIds(catalog: Catalog, release: CatalogRelease, database: DatabaseName): MigrationId[] {
  const migrations = findDatabase(catalog, database)?.migrations ?? [];
  return [...inRanges(release.sets[database] ?? [])].flatMap((index) => migrations[index]?.id ?? []);
}

/** The text that the highest version carries: what a down runs, since publishers fix broken downs later. */
export function newestText(migration: CatalogMigration, direction: 'up' | 'down'): ScriptVersion {
  const newest = migration[direction].at(-1);
  if (newest === undefined) throw new Error(`migration ${migration.id} has no ${direction} text`); // the store checks it
  return newest;
}

/** The text of that label; the newest where the label has none of its own (its release squashed the migration away). */
export function textAt(migration: CatalogMigration, direction: 'up' | 'down', labelIndex: number): ScriptVersion {
  const own = migration[direction].find(({ carriedBy }) => rangesHold(carriedBy, labelIndex));
  return own ?? newestText(migration, direction);
}

/**
 * @param databases - Those of the instance.
 * @throws {UnwindError} UnknownDataMigration: names the ids that look most like it.
 */
export function findDataMigration(
  catalog: Catalog,
  databases: readonly DatabaseName[],
  id: DataMigrationId,
): CatalogDataMigration {
  const all = (catalog.dataMigrations ?? []).filter(({ database }) => databases.includes(database));
  const found = all.find((migration) => migration.id === id);
  if (found !== undefined) return found;
  const nearest = all
    .map((migration) => ({ id: migration.id, far: distance(migration.id, id) }))
    .sort((a, b) => a.far - b.far) // stable: equally far ones stay in the catalog's order
    .slice(0, 3)
    .map((migration) => migration.id);
  throw new UnwindError(
    FailureType.UnknownDataMigration,
    `The catalog of "${catalog.product}" has no data migration "${id}"${
      nearest.length === 0 ? ', nor any other' : `. Nearest: ${nearest.join(', ')}`
    }. Nothing was done. "pg-unwind data list" shows all of an instance; build the catalog again if this one is newer.`,
    { details: { id, nearest } },
  );
}

/** The definition that the highest version carries. */
export function newestHandler(migration: CatalogDataMigration): DataHandler {
  const newest = migration.handlers.at(-1);
  if (newest === undefined) throw new Error(`data migration ${migration.id} has no handler`); // the store checks it
  return newest.handler;
}

/** The definition of that label; the newest where the label has none (its release no longer lists the data migration). */
export function handlerAt(migration: CatalogDataMigration, labelIndex: number): DataHandler {
  const own = migration.handlers.find(({ carriedBy }) => rangesHold(carriedBy, labelIndex));
  return own?.handler ?? newestHandler(migration);
}

/** Ids without a row that are read as applied: an instance born after a squash has only the squash's root in its ledger. */
export function impliedBy(database: CatalogDatabase, applied: ReadonlySet<MigrationId>): Set<MigrationId> {
  const roots = database.squashRoots.filter((id) => applied.has(id));
  if (roots.length === 0) return new Set();
  const byId = new Map(database.migrations.map((migration) => [migration.id, migration]));
  const implied = ancestors(byId, roots);
  for (const id of applied) implied.delete(id);
  return implied;
}
