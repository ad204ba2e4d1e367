import { isSame, isWithin, type IdSets, type KnownRelease } from './known-releases.js';

export interface ReleaseChain {
  /** Each within the one before it; neither end of the interval is among them. Largest first. */
  readonly between: readonly KnownRelease[];
  /** Releases of the interval that are nested with the ends, but not with the rest of the chain. Largest first. */
  readonly notNested: readonly KnownRelease[];
}

/**
 * The longest chain of releases, each within the one before it, strictly between two id sets: the places where a run can stop
 * and a real release stands. Where several chains are equally long, the one whose first differing release is larger, or has
 * the earlier label, is taken; so the chain depends on nothing but the sets.
 * @param releases largest first, ties in a fixed order (as `knownReleases` gives them)
 */
export function releaseChain(releases: readonly KnownRelease[], lower: IdSets, upper: IdSets): ReleaseChain {
  const within = releases.filter(
    ({ sets }) => isWithin(lower, sets) && isWithin(sets, upper) && !isSame(sets, lower) && !isSame(sets, upper),
  );
  // From the smallest up: how long is the longest chain that begins at each release, and where does it go next?
  // Sets of releases differ and sizes descend, so whatever lies within a release stands behind it in the list.
  const length: number[] = [];
  const next: (number | null)[] = [];
  for (let i = within.length - 1; i >= 0; i--) {
    length[i] = 1;
    next[i] = null;
    // Larger releases first: they win ties, and in the usual case, where everything is nested, the first comparison of sets
    // already gives the longest chain and the lengths spare all the others.
    for (let j = i + 1; j < within.length; j++) {
      if (length[j]! + 1 > length[i]! && isWithin(within[j]!.sets, within[i]!.sets)) {
        length[i] = length[j]! + 1;
        next[i] = j;
      }
    }
  }
  let start: number | null = within.length > 0 ? length.indexOf(Math.max(...length)) : null;
  const chosen = new Set<number>();
  for (; start !== null; start = next[start]!) chosen.add(start);
  return {
    between: within.filter((_, index) => chosen.has(index)),
    notNested: within.filter((_, index) => !chosen.has(index)),
  };
}
