import type {
  CatalogDataMigration,
  CatalogLabel,
  CatalogRelease,
  DataHandler,
  DataHandlerVersion,
  DataMigrationId,
  SourceProblem,
} from '../contract/catalog.js';
import type { DataDefinition } from './data-definition.js';
import { DATA_FILE, dataProblem, type DataEntry, type DataReading } from './data-migrations.js';
import { inRanges, rangesHold, toRanges } from './ranges.js';
import { findLabel, nearestLabels } from './releases.js';
import { compareNaturally } from './version.js';

/** A data migration as the release of one label defines it. */
interface Carried {
  readonly label: number;
  readonly entry: DataEntry;
}

export interface MergedData {
  /** In the natural order of their ids; complete only where there is no problem. */
  readonly migrations: readonly CatalogDataMigration[];
  /** The queries that the catalog keeps, by hash. */
  readonly texts: ReadonlyMap<string, string>;
  readonly problems: readonly SourceProblem[];
}

/** One definition for each id out of those of all releases; `readings` are in the order of the labels. */
export function mergeDataMigrations(labels: readonly CatalogLabel[], readings: readonly DataReading[]): MergedData {
  const everywhere = new Map<DataMigrationId, Carried[]>();
  for (const [label, { entries }] of readings.entries()) {
    for (const entry of entries) everywhere.set(entry.id, [...(everywhere.get(entry.id) ?? []), { label, entry }]);
  }
  const merged = [...everywhere].sort(([a], [b]) => compareNaturally(a, b)).map(([, all]) => all);
  return {
    migrations: merged.flatMap((carried) => migrationOf(labels, carried)),
    texts: new Map(readings.flatMap(({ texts }) => [...texts])),
    problems: merged.flatMap((carried) => [...movedProblems(labels, carried), ...labelProblems(labels, carried)]),
  };
}

function migrationOf(labels: readonly CatalogLabel[], carried: readonly Carried[]): CatalogDataMigration[] {
  const definition = carried.at(-1)!.entry.sound?.definition;
  if (definition === undefined) return [];
  const asPublished = (label: string) => labels[findLabel(labels, label) ?? -1]?.label ?? label;
  const { id, database, description, team, introduced, deprecated, estimate } = definition;
  return [
    {
      id,
      database,
      description,
      team: team ?? null,
      introduced: asPublished(introduced),
      deprecated: deprecated === undefined ? null : asPublished(deprecated),
      reversal: reversalOf(definition),
      estimatedRows: estimate?.rows ?? null,
      handlers: handlersOf(carried),
    },
  ];
}

function reversalOf({ nonDestructive, reversible, sql }: DataDefinition): CatalogDataMigration['reversal'] {
  if (nonDestructive === true) return 'notNeeded';
  return (reversible ?? sql?.reverse !== undefined) ? 'reversible' : 'irreversible';
}

/** By the highest label that carries them: the last is the newest. */
function handlersOf(carried: readonly Carried[]): DataHandlerVersion[] {
  const versions = new Map<string, { handler: DataHandler; labels: number[] }>();
  for (const { label, entry } of carried) {
    if (entry.sound === null) continue;
    const key = JSON.stringify(entry.sound.handler);
    const version = versions.get(key) ?? { handler: entry.sound.handler, labels: [] };
    version.labels.push(label);
    versions.set(key, version);
  }
  return [...versions.values()]
    .sort((a, b) => a.labels.at(-1)! - b.labels.at(-1)!)
    .map(({ handler, labels }) => ({ handler, carriedBy: toRanges(labels) }));
}

/** Its batches and its progress are those of one database. */
function movedProblems(labels: readonly CatalogLabel[], carried: readonly Carried[]): SourceProblem[] {
  const newest = carried.at(-1)!;
  const { database } = newest.entry;
  const before = carried.findLast(({ entry }) => entry.database !== null && entry.database !== database);
  if (before === undefined || database === null) return [];
  const then = `"${before.entry.database}" in ${labels[before.label]!.label}`;
  return [at(labels, newest, `It is in the database "${database}" and was in ${then}; give it an id of its own.`)];
}

/** Only the newest definition counts: those of published releases cannot be corrected any more. */
function labelProblems(labels: readonly CatalogLabel[], carried: readonly Carried[]): SourceProblem[] {
  const newest = carried.at(-1)!;
  return (['introduced', 'deprecated'] as const).flatMap((key) => {
    const label = newest.entry[key];
    if (label === null || findLabel(labels, label) !== undefined) return [];
    const nearest = nearestLabels(labels, label).join(', ');
    const message =
      `"${key}" is ${label}, which is no release of this source; nearest: ${nearest}. ` +
      'Correct it, or build from that release too.';
    return [at(labels, newest, message)];
  });
}

function at(labels: readonly CatalogLabel[], { label, entry }: Carried, message: string): SourceProblem {
  return dataProblem(entry.id, entry.database, message, fileOf(labels, label));
}

function fileOf(labels: readonly CatalogLabel[], label: number): string {
  return labels.length === 1 ? DATA_FILE : `${labels[label]!.label}/${DATA_FILE}`;
}

/**
 * Windows that no release lies in. Releases are ordered by their id sets, as in plans; those of which neither holds the
 * other have no order here, and the labels of one release have that of the source.
 */
export function windowProblems(
  labels: readonly CatalogLabel[],
  releases: readonly CatalogRelease[],
  { migrations }: MergedData,
): SourceProblem[] {
  const releaseOf = (index: number) => releases.find((release) => release.labels.includes(index));
  return migrations.flatMap(({ id, database, introduced, deprecated, handlers }) => {
    const [first, end] = [
      findLabel(labels, introduced),
      deprecated === null ? undefined : findLabel(labels, deprecated),
    ];
    if (first === undefined || end === undefined) return [];
    const [from, to] = [releaseOf(first)!, releaseOf(end)!];
    if (from === to ? first < end : !holds(from, to)) return [];
    const why =
      first === end
        ? 'are the same release'
        : `are the wrong way round: ${introduced} ${from === to ? 'comes after' : 'holds every migration of'} ${deprecated}`;
    const message = `"introduced" (${introduced}) and "deprecated" (${deprecated}) ${why}, so no release could run it. Correct one of them.`;
    const newest = handlers.at(-1)!.carriedBy.at(-1)![1];
    return [dataProblem(id, database, message, fileOf(labels, newest))];
  });
}

function holds(big: CatalogRelease, small: CatalogRelease): boolean {
  return Object.entries(small.sets).every(([database, ranges]) =>
    [...inRanges(ranges)].every((index) => rangesHold(big.sets[database] ?? [], index)),
  );
}
