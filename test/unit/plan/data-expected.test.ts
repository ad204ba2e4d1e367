import { expect, test } from 'vitest';
import type { CatalogDataMigration } from '../../../src/contract/catalog.js';
import { expectedProgress } from '../../../src/plan/data-expected.js';
import { smallCatalog } from './small-catalog.js';

const MINORS = [10, 11, 12, 13, 14, 15];
const catalog = smallCatalog({
  databases: { app: { graph: Object.fromEntries(MINORS.map((id) => [id, id === 10 ? [] : [id - 1]])) } },
  releases: MINORS.map((minor, at) => ({ label: `v3.${minor}.0`, ids: { app: MINORS.slice(0, at + 1) } })),
});

const at312 = (
  introduced: number,
  deprecated: number | null,
  reversal: CatalogDataMigration['reversal'] = 'reversible',
) =>
  expectedProgress(catalog, ['app'], 'v3.12.0', {
    introduced: `v3.${introduced}.0`,
    deprecated: deprecated === null ? null : `v3.${deprecated}.0`,
    reversal,
  });

// Golden: the cases of the product's own validation (reference sourcegraph-migrator.md §5.9) at 3.12.
test.each([
  [10, 11, 1],
  [11, 13, null],
  [11, 12, 1],
  [12, null, null],
  [13, null, 0],
  [13, 15, 0],
])(
  'at 3.12 a data migration introduced at 3.%i and deprecated at 3.%s must be at %s',
  (introduced, deprecated, expected) => {
    expect(at312(introduced, deprecated)).toBe(expected);
  },
);

test.each(['notNeeded', 'irreversible'] as const)(
  'one whose way back is %s may be anywhere before it is introduced',
  (reversal) => {
    expect(at312(13, 15, reversal)).toBeNull();
    expect(at312(10, 11, reversal)).toBe(1);
  },
);
