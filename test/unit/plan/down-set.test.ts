import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ancestors } from '../../../src/catalog/graph.js';
import type { Catalog } from '../../../src/contract/catalog.js';
import { downSet, upSet } from '../../../src/plan/down-set.js';
import { makePlan, type PlanInput } from '../../../src/plan/plan.js';
import { planSteps } from '../../../src/plan/report.js';
import { fixture, missingFixtures } from '../../support/shared.js';
import { ledgerAt, sha256, smallCatalog, smallCatalogs, type SmallCatalog } from './small-catalog.js';

interface Row {
  readonly name: string;
  readonly applied: number[];
  readonly targets: number[];
  readonly expected: number[];
}

const missing = missingFixtures();
const skipped = missing === null ? '' : `: skipped, ${missing}`;

test.skipIf(missing !== null)(`the ups and downs of graph-cases.json${skipped}`, () => {
  const { upDown } = fixture<{
    upDown: { parents: Record<string, number[]>; up: Row[]; down: Row[] };
  }>('graph-cases.json');
  const small: SmallCatalog = { databases: { app: { graph: upDown.parents } }, releases: [] };
  const database = smallCatalog(small).databases[0]!;
  const byId = new Map(database.migrations.map((migration) => [migration.id, migration]));
  const setOf = (ids: readonly number[]) => new Set(ids.map(String));
  expect(upDown.up.length + upDown.down.length).toBeGreaterThan(0);
  for (const { name, applied, targets, expected } of upDown.up) {
    const wanted = ancestors(byId, setOf(targets));
    expect(
      upSet(database, setOf(applied), wanted).map(({ id }) => Number(id)),
      `up ${name}`,
    ).toEqual(expected);
  }
  for (const { name, applied, targets, expected } of upDown.down) {
    const wanted = ancestors(byId, setOf(targets));
    expect(
      downSet(database, setOf(applied), wanted).map(({ id }) => Number(id)),
      `down ${name}`,
    ).toEqual(expected);
  }
});

/** A catalog, and a way down from its largest release (every id) to some other. */
const waysDown = () =>
  smallCatalogs().chain((small) =>
    fc.nat(small.releases.length - 1).map((index) => {
      const input: PlanInput = {
        catalog: smallCatalog(small),
        catalogHash: 'c0',
        direction: 'down',
        target: small.releases[index]!.label,
        databases: Object.keys(small.databases),
        ledger: ledgerAt(small, 'v99'),
      };
      return { small, input };
    }),
  );

const graphOf = (catalog: Catalog, database: string) =>
  new Map(catalog.databases.find(({ name }) => name === database)!.migrations.map((m) => [m.id, m]));

test('no migration is unwound while an applied child still stands on it', () => {
  fc.assert(
    fc.property(waysDown(), ({ input }) => {
      const plan = makePlan(input, sha256);
      for (const database of plan.databases) {
        const graph = graphOf(input.catalog, database);
        const standing = new Set(input.ledger[database]!.applied);
        for (const { step } of planSteps(plan).filter((placed) => placed.database === database)) {
          expect(standing.delete(step.migration)).toBe(true);
          for (const id of standing) expect(graph.get(id)!.parents).not.toContain(step.migration);
        }
      }
    }),
  );
});

test('the legs share out the down set: every migration in it once, none beside it', () => {
  fc.assert(
    fc.property(waysDown(), ({ small, input }) => {
      const plan = makePlan(input, sha256);
      const target = ledgerAt(small, input.target);
      for (const database of plan.databases) {
        const done = planSteps(plan).filter((placed) => placed.database === database);
        const wanted = input.ledger[database]!.applied.filter((id) => !target[database]!.applied.includes(id));
        expect(done.map(({ step }) => step.migration).sort()).toEqual(wanted.toSorted());
        expect(done.map(({ step }) => step.seq)).toEqual(done.map((_, i) => i + 1));
      }
    }),
  );
});

test('every leg does something and ends with exactly the migrations of its release', () => {
  fc.assert(
    fc.property(waysDown(), ({ small, input }) => {
      const plan = makePlan(input, sha256);
      let standing = Object.fromEntries(plan.databases.map((name) => [name, new Set(input.ledger[name]!.applied)]));
      for (const leg of plan.legs) {
        expect(Object.values(leg.steps).flat().length).toBeGreaterThan(0);
        for (const name of plan.databases) for (const step of leg.steps[name]!) standing[name]!.delete(step.migration);
        const release = ledgerAt(small, leg.release);
        for (const name of plan.databases) {
          const sorted = [...standing[name]!].sort((a, b) => Number(a) - Number(b));
          expect(sorted).toEqual(release[name]!.applied.toSorted((a, b) => Number(a) - Number(b)));
          expect(leg.setHash[name]).toBe(sha256(sorted.join(',')));
        }
      }
      if (plan.legs.length > 0) expect(plan.legs.at(-1)!.release).toBe(input.target);
    }),
  );
});

test('a known release between start and target is a leg, or is named as not nested', () => {
  fc.assert(
    fc.property(waysDown(), ({ small, input }) => {
      const plan = makePlan(input, sha256);
      const target = ledgerAt(small, input.target);
      const named = new Set([...plan.notNested, ...plan.legs.flatMap((leg) => [leg.release, ...leg.aliases])]);
      const key = (label: string) =>
        JSON.stringify(plan.databases.map((n) => ledgerAt(small, label)[n]!.applied.toSorted()));
      const start = key('v99');
      for (const { label } of small.releases) {
        const sets = ledgerAt(small, label);
        const above = plan.databases.every((n) => target[n]!.applied.every((id) => sets[n]!.applied.includes(id)));
        if (!above || key(label) === start) continue;
        // A release left out is shown once, under its first label.
        const first = small.releases.find((other) => key(other.label) === key(label))!.label;
        expect(named.has(label) || named.has(first), label).toBe(true);
      }
    }),
  );
});

test('the same input gives the same plan, whatever the order of the ledger rows', () => {
  fc.assert(
    fc.property(waysDown(), ({ input }) => {
      const ledger = Object.fromEntries(
        Object.entries(input.ledger).map(([name, state]) => [name, { ...state, applied: state.applied.toReversed() }]),
      );
      const copy = JSON.parse(
        JSON.stringify({ ...input, ledger, databases: input.databases.toReversed() }),
      ) as PlanInput;
      expect(makePlan(copy, sha256)).toEqual(makePlan(input, sha256));
    }),
  );
});

test('going down and up again is the same way back: the same releases, and the same migrations in reverse', () => {
  fc.assert(
    fc.property(waysDown(), ({ small, input }) => {
      const down = makePlan(input, sha256);
      const up = makePlan({ ...input, direction: 'up', target: 'v99', ledger: ledgerAt(small, input.target) }, sha256);
      expect(up.notNested).toEqual(down.notNested);
      const stops = (labels: string[]) => labels.slice(0, -1); // what the ends are called depends on the typed label
      expect(stops(up.legs.map(({ release }) => release))).toEqual(
        stops(down.legs.map(({ release }) => release)).toReversed(),
      );
      for (const [i, leg] of up.legs.entries()) {
        const opposite = down.legs[down.legs.length - 1 - i]!;
        for (const name of up.databases) {
          const undone = opposite.steps[name]!.map(({ migration }) => migration);
          expect(leg.steps[name]!.map(({ migration }) => migration)).toEqual(undone.toReversed());
        }
      }
    }),
  );
});
