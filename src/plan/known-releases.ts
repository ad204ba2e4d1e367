import { migrationIds } from '../catalog/releases.js';
import type { Catalog, CatalogDatabase, DatabaseName, MigrationId } from '../contract/catalog.js';

/** An id set per database of the instance. */
export type IdSets = ReadonlyMap<DatabaseName, ReadonlySet<MigrationId>>;

/** A release as this instance sees it: its databases only, under the label that is shown to people. */
export interface KnownRelease {
  readonly label: string;
  /** Its place in `Catalog.labels`. */
  readonly labelIndex: number;
  /** The other labels, in the order of the catalog. */
  readonly aliases: readonly string[];
  readonly sets: IdSets;
  /** Ids in all databases together. */
  readonly size: number;
}

/** Is every id of `small` in `large`, in every database? */
export function isWithin(small: IdSets, large: IdSets): boolean {
  for (const [database, ids] of small) {
    const others = large.get(database)!;
    if (ids.size > others.size) return false;
    for (const id of ids) if (!others.has(id)) return false;
  }
  return true;
}

export function isSame(left: IdSets, right: IdSets): boolean {
  return isWithin(left, right) && isWithin(right, left);
}

/**
 * The releases of the catalog by their sets in these databases, largest first, ties by the shown label's place in the
 * catalog. Releases that differ only in databases which the instance does not have are one release here.
 * @param named place in `Catalog.labels` of the label that the user typed: its release is shown under it, the others under
 * the first published.
 */
export function knownReleases(catalog: Catalog, databases: readonly CatalogDatabase[], named: number): KnownRelease[] {
  const groups = new Map<string, { readonly sets: IdSets; readonly shown: number[]; readonly labels: number[] }>();
  for (const release of catalog.releases) {
    const sets = new Map(databases.map(({ name }) => [name, new Set(migrationIds(catalog, release, name))]));
    const key = JSON.stringify([...sets.values()].map((ids) => [...ids]));
    const group = groups.get(key) ?? { sets, shown: [] as number[], labels: [] as number[] };
    group.shown.push(release.labels[0]!);
    group.labels.push(...release.labels);
    groups.set(key, group);
  }
  const publishedAt = (label: number) => catalog.labels[label]!.publishedAt ?? '~'; // undated ones last: `~` follows every digit
  const firstPublished = (a: number, b: number) => {
    const [left, right] = [publishedAt(a), publishedAt(b)];
    return left < right ? -1 : left > right ? 1 : a - b;
  };
  const releases = [...groups.values()].map(({ sets, shown, labels }) => {
    const first = labels.includes(named) ? named : shown.toSorted(firstPublished)[0]!;
    const others = labels.filter((index) => index !== first).toSorted((a, b) => a - b);
    const size = [...sets.values()].reduce((sum, ids) => sum + ids.size, 0);
    return { first, others, sets, size };
  });
  return releases
    .toSorted((a, b) => b.size - a.size || a.first - b.first)
    .map(({ first, others, sets, size }) => ({
      label: catalog.labels[first]!.label,
      labelIndex: first,
      aliases: others.map((index) => catalog.labels[index]!.label),
      sets,
      size,
    }));
}
