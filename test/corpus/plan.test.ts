import { createHash } from 'node:crypto';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { leaves } from '../../src/catalog/graph.js';
import { findRelease, migrationIds } from '../../src/catalog/releases.js';
import type { Catalog } from '../../src/contract/catalog.js';
import type { Direction, Plan } from '../../src/contract/plan.js';
import { downSet } from '../../src/plan/down-set.js';
import { makePlan, type PlanInput } from '../../src/plan/plan.js';
import { countSteps, destructiveSteps, planSteps } from '../../src/plan/report.js';
import { corpora, fixture, missingCorpus, missingFixtures } from '../support/shared.js';

const CORPUS = 'sourcegraph-migrations.bundle';
type Database = 'frontend' | 'codeintel' | 'codeinsights';
const DATABASES: readonly Database[] = ['frontend', 'codeintel', 'codeinsights'];

interface Downs {
  readonly count: number;
  readonly sha256: string;
}
interface LegsFixture {
  readonly plans: readonly {
    readonly from: string;
    readonly to: string;
    readonly notNested: readonly string[];
    readonly legs: readonly {
      readonly release: string;
      readonly aliases: readonly string[];
      readonly downs: Record<Database, Downs & { first: number | null; last: number | null }>;
    }[];
  }[];
}
interface DownsFixture {
  readonly cases: readonly ({ from: string; to: string } & Record<Database, Downs & { ids?: number[] }>)[];
}
interface ReleasesFixture {
  readonly releases: readonly ({ tag: string } & Record<Database, { count: number; leaves: number[] }>)[];
}

interface ScriptKinds {
  readonly downCommitAndChain: Readonly<Record<string, number>>;
  readonly downWithoutStatement: readonly number[];
}

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');
const missing = missingCorpus(CORPUS) ?? missingFixtures();

describe.skipIf(missing !== null)(
  `plans of the Sourcegraph corpus${missing === null ? '' : `: skipped, ${missing}`}`,
  () => {
    let catalog: Catalog;
    beforeAll(async () => {
      const source = path.join(corpora, CORPUS);
      ({ catalog } = await buildCatalog({ product: 'sourcegraph', format: 'sourcegraph', source, tags: 'v*' }));
    });

    const idsAt = (label: string, database: Database) =>
      migrationIds(catalog, findRelease(catalog, label).release, database);
    const databaseOf = (name: Database) => catalog.databases.find((database) => database.name === name)!;
    const inputFor = (direction: Direction, from: string, target: string): PlanInput => ({
      catalog,
      catalogHash: 'corpus',
      direction,
      target,
      databases: DATABASES,
      ledger: Object.fromEntries(DATABASES.map((name) => [name, { applied: idsAt(from, name), absent: [] }])),
    });
    const migrations = (plan: Plan, database: Database) =>
      planSteps(plan)
        .filter((placed) => placed.database === database)
        .map(({ step }) => step.migration);

    test('405 migrations and 70 tags are 20 releases, with the counts and leaves of releases.json', () => {
      expect(catalog.databases.flatMap((database) => database.migrations)).toHaveLength(405);
      expect(catalog.labels).toHaveLength(70);
      expect(catalog.releases).toHaveLength(20);
      const { releases } = fixture<ReleasesFixture>('releases.json');
      expect(releases.map(({ tag }) => tag)).toEqual(catalog.labels.map(({ label }) => label));
      for (const release of releases) {
        for (const name of DATABASES) {
          const ids = new Set(idsAt(release.tag, name));
          expect(ids.size, `${release.tag} ${name}`).toBe(release[name].count);
          const ends = leaves(databaseOf(name).migrations.filter(({ id }) => ids.has(id))).map(Number);
          expect(
            ends.toSorted((a, b) => a - b),
            `${release.tag} ${name}`,
          ).toEqual(release[name].leaves);
        }
      }
    });

    test('legs, their labels and the order in each are those of legs.json', () => {
      const { plans } = fixture<LegsFixture>('legs.json');
      expect(plans.length).toBeGreaterThan(0);
      for (const golden of plans) {
        const plan = makePlan(inputFor('down', golden.from, golden.to), sha256);
        expect(plan.notNested).toEqual(golden.notNested);
        expect(plan.legs.map(({ release, aliases }) => ({ release, aliases }))).toEqual(
          golden.legs.map(({ release, aliases }) => ({ release, aliases })),
        );
        for (const [i, { release, downs }] of golden.legs.entries()) {
          for (const name of DATABASES) {
            const ids = plan.legs[i]!.steps[name]!.map(({ migration }) => migration);
            const found = {
              count: ids.length,
              first: ids.length > 0 ? Number(ids[0]) : null,
              last: ids.length > 0 ? Number(ids.at(-1)) : null,
              sha256: sha256(ids.join(',')),
            };
            expect(found, `${golden.from} to ${golden.to}, ${release}, ${name}`).toEqual(downs[name]);
          }
        }
      }
    });

    test('what a plan undoes is what downs.json says; neighbouring minors in its exact order', () => {
      const { cases } = fixture<DownsFixture>('downs.json');
      expect(cases.length).toBeGreaterThan(0);
      for (const golden of cases) {
        const plan = makePlan(inputFor('down', golden.from, golden.to), sha256);
        for (const name of DATABASES) {
          const what = `${golden.from} to ${golden.to}, ${name}`;
          const [from, to] = [idsAt(golden.from, name), idsAt(golden.to, name)];
          const oneShot = downSet(databaseOf(name), new Set(from), new Set(to)).map(({ id }) => id);
          expect(sha256(oneShot.join(',')), what).toBe(golden[name].sha256);
          if (golden[name].ids !== undefined) expect(oneShot.map(Number), what).toEqual(golden[name].ids);
          const planned = migrations(plan, name);
          expect(planned, what).toHaveLength(golden[name].count);
          if (plan.legs.length === 1) expect(planned, what).toEqual(oneShot);
          else expect(planned.toSorted(), what).toEqual(oneShot.toSorted());
        }
      }
    });

    test('a higher number that holds fewer migrations is reached by going down', () => {
      const plan = makePlan(inputFor('down', 'v5.9.17785', 'v5.10.0'), sha256);
      expect(plan.from.release).toBe('v6.0.0');
      expect(countSteps(plan).databases).toEqual({ frontend: 33, codeintel: 7, codeinsights: 9 });
      expect(() => makePlan(inputFor('down', 'v5.10.0', 'v5.9.17785'), sha256)).toThrow(/run the upgrade instead/);
    });

    test('a down that a later release repaired runs in its newest text, and the plan says so', () => {
      const plan = makePlan(inputFor('down', 'v7.1.0', 'v7.0.0'), sha256);
      const older = plan.warnings.filter(({ code }) => code === 'olderText').map(({ migration }) => migration);
      expect(older).toContain('1772020933'); // reference §8.3, R3
    });

    test('how each step runs, what it destroys and where it restores nothing stand in the plan', () => {
      const plan = makePlan(inputFor('down', 'v7.2.0', 'v5.8.1579'), sha256);
      const kinds = fixture<{ 'v7.2.0': Record<Database, ScriptKinds> }>('script-kinds.json')['v7.2.0'];
      for (const name of DATABASES) {
        const steps = planSteps(plan).filter(({ database }) => database === name);
        const planned = new Set(migrations(plan, name));
        const those = (execution: string) =>
          steps
            .filter(({ step }) => step.execution === execution)
            .map(({ step }) => Number(step.migration))
            .toSorted((a, b) => a - b);
        const within = (ids: readonly number[]) => ids.filter((id) => planned.has(String(id)));
        const segments = Object.entries(kinds[name].downCommitAndChain).filter(([id]) => planned.has(id));
        expect(those('segmented'), name).toEqual(segments.map(([id]) => Number(id)));
        expect(those('empty'), name).toEqual(within(kinds[name].downWithoutStatement));
        const emptyDowns = plan.warnings.filter(({ code, database }) => code === 'emptyDown' && database === name);
        const warned = emptyDowns.map(({ migration }) => Number(migration));
        expect(
          warned.toSorted((a, b) => a - b),
          name,
        ).toEqual(those('empty'));
      }
      const destructive = destructiveSteps(plan).map(({ step }) => step.migration);
      expect(destructive).toContain('1754092625'); // truncates a table that its redacted up never filled (§8.3, R7)
      expect(destructive.length).toBeGreaterThan(100);
    });

    test('the way up passes the same releases and applies what the way down undoes', () => {
      const down = makePlan(inputFor('down', 'v7.2.0', 'v5.8.1579'), sha256);
      const up = makePlan(inputFor('up', 'v5.8.1579', 'v7.2.0'), sha256);
      expect(up.legs.slice(0, -1).map(({ release }) => release)).toEqual(
        down.legs
          .slice(0, -1)
          .map(({ release }) => release)
          .toReversed(),
      );
      for (const name of DATABASES) expect(migrations(up, name)).toEqual(migrations(down, name).toReversed());
    });

    test('the plan of the longest way down, 309 steps over 405 migrations, takes no more than 100 ms', () => {
      const input = inputFor('down', 'v7.2.0', 'v5.8.1579');
      const took = Array.from({ length: 5 }, () => {
        const start = performance.now();
        const plan = makePlan(input, sha256);
        const ms = performance.now() - start;
        expect(countSteps(plan).total).toBe(309);
        return ms;
      });
      const bytes = Buffer.byteLength(JSON.stringify(makePlan(input, sha256)));
      console.log(`plan of 309 steps: ${took.map((ms) => ms.toFixed(1)).join(', ')} ms; ${bytes} bytes of JSON`);
      // The budget of the design; the fastest of five, because the machine's other work is not the planner's.
      expect(Math.min(...took)).toBeLessThanOrEqual(100);
    });
  },
);
