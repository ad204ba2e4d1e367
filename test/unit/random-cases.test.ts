import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { migrationIds } from '../../src/catalog/releases.js';
import type { Execution } from '../../src/contract/script.js';
import { appliedAtStart, idsOf, type Kind } from '../crash/random/case.js';
import { cases, SIZES } from '../crash/random/generator.js';
import { buildProduct } from '../crash/random/product.js';
import { scriptOf } from '../crash/random/scripts.js';

const EXECUTIONS: Readonly<Record<Kind, { up: Execution; down: Execution }>> = {
  atomic: { up: 'atomic', down: 'atomic' },
  guarded: { up: 'atomic', down: 'atomic' },
  segmented: { up: 'segmented', down: 'segmented' },
  index: { up: 'concurrent', down: 'concurrent' },
  mixed: { up: 'atomic', down: 'concurrent' },
  reindex: { up: 'atomic', down: 'concurrent' },
  detach: { up: 'atomic', down: 'concurrent' },
  empty: { up: 'empty', down: 'empty' },
  bound: { up: 'segmented', down: 'segmented' },
  opaque: { up: 'opaque', down: 'opaque' },
};

describe('cases of the random search', () => {
  test('every drawn case compiles to a catalog that says of it what the model says', { timeout: 60_000 }, async () => {
    const any = fc.oneof(...SIZES.map(cases));
    await fc.assert(
      fc.asyncProperty(any, async (drawn) => {
        const folder = mkdtempSync(join(tmpdir(), 'pg-unwind-test-'));
        try {
          const { catalog } = await buildProduct(drawn, folder);
          for (const database of drawn.databases) {
            for (const release of catalog.releases) {
              const of = release.labels.map((label) => Number(/\d+/.exec(catalog.labels[label]!.label)![0]) - 1);
              for (const at of of) {
                const ids = [...migrationIds(catalog, release, database.name)].map(Number);
                expect(new Set(ids)).toEqual(new Set(idsOf(database, at)));
              }
            }
            const known = catalog.databases.find(({ name }) => name === database.name)!;
            for (const migration of database.migrations.slice(1)) {
              const versions = known.migrations.find(({ id }) => id === String(migration.id));
              if (versions === undefined) continue; // in no release
              for (const direction of ['up', 'down'] as const) {
                const facts = catalog.scripts[versions[direction].at(-1)!.sha256]!;
                expect(facts.refused).toBeNull();
                expect(facts.execution, `${migration.kind} ${direction}`).toBe(EXECUTIONS[migration.kind][direction]);
                expect(facts.sessionState.length > 0).toBe(migration.kind === 'bound');
                const { segments } = scriptOf(migration, direction);
                expect(facts.units, `${migration.kind} ${direction}`).toHaveLength(segments.length);
              }
            }
          }
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
      { numRuns: 60 },
    );
  });

  test('what is applied at the start has all its ancestors, and lies on the right side of the target', () => {
    fc.assert(
      fc.property(cases(SIZES.at(-1)!), (drawn) => {
        for (const database of drawn.databases) {
          const applied = new Set(appliedAtStart(drawn, database));
          const target = new Set(idsOf(database, drawn.target));
          for (const { id, parents } of database.migrations) {
            if (applied.has(id)) expect(parents.every((parent) => applied.has(parent))).toBe(true);
          }
          const [inner, outer] = drawn.direction === 'down' ? [target, applied] : [applied, target];
          expect([...inner].every((id) => outer.has(id))).toBe(true);
        }
      }),
    );
  });
});
