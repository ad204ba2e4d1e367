import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ancestors,
  compareIds,
  dominator,
  filter,
  findCycle,
  leaves,
  roots,
  topologicalOrder,
  type GraphNode,
} from '../../../src/catalog/graph.js';
import { fixture, missingFixtures } from '../../support/shared.js';

interface GraphCases {
  readonly leaves: readonly { name: string; parents: Record<string, number[]>; expected: number[] }[];
  readonly dominators: readonly { name: string; parents: Record<string, number[]>; expected: number | null }[];
  readonly filters: {
    readonly parents: Record<string, number[]>;
    readonly cases: readonly { name: string; ids: number[]; expected?: number[]; error?: { message: string } }[];
  };
}

const missing = missingFixtures();
const cases: GraphCases =
  missing === null ? fixture('graph-cases.json') : { leaves: [], dominators: [], filters: { parents: {}, cases: [] } };

const nodesOf = (parents: Record<string, readonly (number | string)[]>): GraphNode[] =>
  Object.entries(parents).map(([id, of]) => ({ id, parents: of.map(String) }));

/** Acyclic graphs with ids in no particular order: a node's parents are among those made before it. */
const graphs = () =>
  fc
    .uniqueArray(fc.bigInt({ min: -50n, max: 10n ** 20n }).map(String), { maxLength: 25 })
    .chain((ids) =>
      fc.tuple(
        ...ids.map((id, i) =>
          fc.subarray(ids.slice(0, i), { maxLength: Math.min(i, 4) }).map((parents) => ({ id, parents })),
        ),
      ),
    ) as fc.Arbitrary<GraphNode[]>;

describe.skipIf(missing !== null)(
  `the golden cases of graph-cases.json${missing === null ? '' : `: skipped, ${missing}`}`,
  () => {
    test('leaves, dominators and sub-graphs are those of the fixture', () => {
      expect(cases.dominators.length).toBeGreaterThan(0);
      for (const { name, parents, expected } of cases.leaves) {
        expect(leaves(nodesOf(parents)), name).toEqual(expected.map(String));
      }
      for (const { name, parents, expected } of cases.dominators) {
        expect(dominator(nodesOf(parents)), name).toBe(expected === null ? null : String(expected));
      }
      const nodes = nodesOf(cases.filters.parents);
      for (const { name, ids, expected, error } of cases.filters.cases) {
        const run = () => filter(nodes, ids.map(String), 'numeric').map((node) => node.id);
        if (error) expect(run, name).toThrow(error.message);
        else expect(run(), name).toEqual(expected!.map(String));
      }
    });
  },
);

test('numeric ids are compared as numbers, however long', () => {
  const compare = compareIds('numeric');
  expect(compare('9', '10')).toBeLessThan(0);
  expect(compare('9007199254740993', '9007199254740992')).toBeGreaterThan(0);
  expect(compare('-5', '3')).toBeLessThan(0);
  expect(compare('-5', '-30')).toBeGreaterThan(0);
  expect(compare('007', '7')).not.toBe(0);
  expect(compare('12', 'initial')).toBeLessThan(0);
  fc.assert(
    fc.property(fc.bigInt(), fc.bigInt(), (a, b) => {
      expect(Math.sign(compare(String(a), String(b)))).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

test('string ids are compared by code unit', () => {
  expect(['b', 'a10', 'a9', 'B'].sort(compareIds('string'))).toEqual(['B', 'a10', 'a9', 'b']);
});

test('a parent always comes before its child, and the order in which nodes are listed plays no part', () => {
  fc.assert(
    fc.property(graphs(), fc.infiniteStream(fc.nat()), (nodes, noise) => {
      const order = topologicalOrder(nodes, 'numeric');
      const place = new Map(order.map((id, i) => [id, i]));
      for (const node of nodes)
        for (const parent of node.parents) expect(place.get(parent)!).toBeLessThan(place.get(node.id)!);
      const shuffled = nodes.map((node) => [noise.next().value, node] as const).sort(([a], [b]) => a - b);
      expect(
        topologicalOrder(
          shuffled.map(([, node]) => node),
          'numeric',
        ),
      ).toEqual(order);
    }),
  );
});

test('among the migrations that are free, the smallest id comes first', () => {
  fc.assert(
    fc.property(graphs(), (nodes) => {
      const compare = compareIds('numeric');
      const open = new Map(nodes.map((node) => [node.id, node]));
      for (const id of topologicalOrder(nodes, 'numeric')) {
        const free = [...open.values()].filter((node) => !node.parents.some((parent) => open.has(parent)));
        expect(id).toBe(free.map((node) => node.id).sort(compare)[0]);
        open.delete(id);
      }
      expect(open.size).toBe(0);
    }),
  );
});

test('in a sub-graph, parents that lie outside it hold nobody back', () => {
  expect(topologicalOrder(nodesOf({ 7: [2], 5: [7, 3] }), 'numeric')).toEqual(['7', '5']);
  expect(roots(nodesOf({ 7: [2], 5: [7, 3] }))).toEqual(['7']);
});

test('a cycle is found wherever it hangs, and the order refuses it by name', () => {
  expect(findCycle(nodesOf({ 1: [], 2: [1] }))).toBeNull();
  expect(findCycle(nodesOf({ 1: [], 2: [2] }))).toEqual(['2']);
  const cyclic = nodesOf({ 1: [], 2: [1, 4], 3: [2], 4: [3], 5: [4] });
  expect(findCycle(cyclic)?.toSorted()).toEqual(['2', '3', '4']);
  expect(findCycle(nodesOf({ 1: [], 3: [4], 4: [3] }))?.toSorted()).toEqual(['3', '4']);
  expect(() => topologicalOrder(cyclic, 'numeric')).toThrow(/dependency cycle: .*is a parent of/);
});

test('each id of a reported cycle is a parent of the one after it, and the last of the first', () => {
  fc.assert(
    fc.property(graphs(), fc.nat(), fc.nat(), (nodes, a, b) => {
      fc.pre(nodes.length > 1);
      const [from, to] = [nodes[a % nodes.length]!, nodes[b % nodes.length]!];
      const looped = nodes.map((node) => (node === from ? { ...node, parents: [...node.parents, to.id] } : node));
      const byId = new Map(looped.map((node) => [node.id, node]));
      const isCyclic = ancestors(new Map(nodes.map((node) => [node.id, node])), [to.id]).has(from.id);
      const cycle = findCycle(looped);
      expect(cycle !== null).toBe(isCyclic);
      cycle?.forEach((id, i) => expect(byId.get(cycle[(i + 1) % cycle.length]!)!.parents).toContain(id));
    }),
  );
});

test('a chain of fifty thousand migrations exhausts no stack', () => {
  const chain = Array.from({ length: 50_000 }, (_, i) => ({ id: String(i), parents: i === 0 ? [] : [String(i - 1)] }));
  expect(topologicalOrder(chain, 'numeric')).toHaveLength(50_000);
  expect(findCycle(chain)).toBeNull();
  expect(ancestors(new Map(chain.map((node) => [node.id, node])), ['49999']).size).toBe(50_000);
});

test('ancestors include the ids themselves and leave out what the graph does not hold', () => {
  const byId = new Map(nodesOf({ 1: [], 2: [1, 99], 3: [2] }).map((node) => [node.id, node]));
  expect([...ancestors(byId, ['2', '77'])].sort()).toEqual(['1', '2']);
});

test('the dominator is the deepest node without which no leaf can be reached', () => {
  const reachable = (nodes: readonly GraphNode[], without: string) => {
    const reached = new Set<string>();
    for (const id of topologicalOrder(nodes, 'numeric')) {
      const { parents } = nodes.find((node) => node.id === id)!;
      if (id !== without && (parents.length === 0 || parents.some((parent) => reached.has(parent)))) reached.add(id);
    }
    return reached;
  };
  fc.assert(
    fc.property(graphs(), (nodes) => {
      const ends = leaves(nodes);
      const onEveryPath = nodes
        .map((node) => node.id)
        .filter((id) => ends.every((leaf) => !reachable(nodes, id).has(leaf)));
      const found = dominator(nodes);
      if (nodes.length === 0 || onEveryPath.length === 0) {
        expect(found).toBeNull();
        return;
      }
      expect(onEveryPath).toContain(found);
      const below = ancestors(new Map(nodes.map((node) => [node.id, node])), [found!]);
      expect(onEveryPath.every((id) => below.has(id))).toBe(true);
    }),
  );
});

test('a sub-graph that asks for an unknown id is refused', () => {
  expect(() => filter(nodesOf({ 1: [] }), ['1', '2'], 'numeric')).toThrow('migration 2 (included) does not exist');
});
