import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isWithin, knownReleases, type KnownRelease } from '../../../src/plan/known-releases.js';
import { releaseChain } from '../../../src/plan/release-chain.js';
import { smallCatalog, smallCatalogs } from './small-catalog.js';

/** Every chain of the releases, by trying all subsets; each as the places of its releases in the list. */
function allChains(releases: readonly KnownRelease[]): number[][] {
  const subsets = Array.from({ length: 1 << releases.length }, (_, bits) =>
    releases.map((_release, i) => i).filter((i) => bits & (1 << i)),
  );
  return subsets.filter((subset) =>
    subset.every((at, i) => i === 0 || isWithin(releases[at]!.sets, releases[subset[i - 1]!]!.sets)),
  );
}

test('the chain is the longest there is; of several, the one through the larger releases and the earlier labels', () => {
  fc.assert(
    fc.property(smallCatalogs(), (small) => {
      const catalog = smallCatalog(small);
      const releases = knownReleases(catalog, catalog.databases, 0);
      const [largest, smallest] = [releases[0]!, releases.at(-1)!];
      const inner = releases.slice(1, -1);
      const chains = allChains(inner);
      const longest = Math.max(...chains.map((chain) => chain.length));
      // The list is largest first, so "larger, then earlier label" is the smaller place at the first difference.
      const best = chains
        .filter((chain) => chain.length === longest)
        .sort((a, b) => (a.find((place, i) => place !== b[i]) ?? 0) - (b.find((place, i) => place !== a[i]) ?? 0))[0]!;
      const { between, notNested } = releaseChain(releases, smallest.sets, largest.sets);
      expect(between.map(({ label }) => label)).toEqual(best.map((i) => inner[i]!.label));
      expect([...between, ...notNested].map(({ label }) => label).sort()).toEqual(
        inner.map(({ label }) => label).sort(),
      );
    }),
  );
});
