import { findRelease } from '../catalog/releases.js';
import type { Catalog, CatalogDatabase } from '../contract/catalog.js';
import type { Direction } from '../contract/plan.js';
import type { Position } from '../data/schedule.js';
import { isSame, isWithin, type IdSets, type KnownRelease } from './known-releases.js';

/** The way of a plan: what the windows of the data migrations are measured against. */
export interface ReleaseWay {
  readonly catalog: Catalog;
  readonly direction: Direction;
  readonly databases: readonly CatalogDatabase[];
  /** As `knownReleases` gives them. */
  readonly releases: readonly KnownRelease[];
  readonly applied: IdSets;
  /** The release whose sets are the applied ones; null between releases. */
  readonly standing: KnownRelease | null;
  /** Where each leg ends, in travel order; the last is the target. */
  readonly stops: readonly KnownRelease[];
}

/** 0 is the way's lower end, `stops.length` its upper one. */
export function startPosition({ direction, stops }: ReleaseWay): Position {
  return direction === 'up' ? 0 : stops.length;
}

/** The position of a stop by its index in `stops`. */
export function stopPosition({ direction, stops }: ReleaseWay, index: number): Position {
  return direction === 'up' ? index + 1 : stops.length - 1 - index;
}

/**
 * Where any label of the catalog stands. A release of the way has its place, whichever of its labels is named. Another one comes
 * just before the smallest of the way that contains it: between two of them where it is not nested with them, below all where it
 * is older than the lower end. What no release of the way contains is beyond the upper end.
 */
export function labelPositions(way: ReleaseWay): (label: string) => Position {
  const travelled = [way.applied, ...way.stops.map(({ sets }) => sets)];
  const ascending = way.direction === 'up' ? travelled : travelled.toReversed();
  return (label) => {
    const { sets } = releaseOf(way, label);
    const at = ascending.findIndex((upper) => isWithin(sets, upper));
    if (at === -1) return Infinity;
    return isSame(sets, ascending[at]!) ? at : at - 0.5;
  };
}

function releaseOf({ catalog, releases }: ReleaseWay, label: string): KnownRelease {
  const found = findRelease(catalog, label);
  const holds = ({ labelIndex, aliases }: KnownRelease) =>
    labelIndex === found.labelIndex || aliases.includes(found.label.label);
  return releases.find(holds)!; // every label of the catalog is one of a known release
}
