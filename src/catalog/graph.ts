import type { IdOrder } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';

/** A vertex of a migration graph. Parents that are not among the vertices at hand lie outside the (sub-)graph and are ignored. */
export interface GraphNode {
  readonly id: string;
  readonly parents: readonly string[];
}

const DECIMAL = /^-?\d+$/;

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Decimal strings of any length: beyond 2^53 a `Number` would call different ids equal. */
function byNumber(a: string, b: string): number {
  const [left, right] = [DECIMAL.test(a), DECIMAL.test(b)];
  if (!left || !right) return Number(right) - Number(left) || byCodeUnit(a, b);
  const [x, y] = [BigInt(a), BigInt(b)];
  return x < y ? -1 : x > y ? 1 : byCodeUnit(a, b); // `01` and `1` are two ids: the order stays total
}

/** The total order of a database's ids. In `numeric` order an id that is no decimal number comes after all that are. */
export function compareIds(idOrder: IdOrder): (a: string, b: string) => number {
  return idOrder === 'numeric' ? byNumber : byCodeUnit;
}

/** A binary heap: the smallest entry leaves first. */
function createHeap(compare: (a: string, b: string) => number) {
  const heap: string[] = [];
  const above = (i: number, j: number) => compare(heap[i]!, heap[j]!) < 0;
  const swap = (i: number, j: number) => {
    [heap[i], heap[j]] = [heap[j]!, heap[i]!];
  };
  return {
    push(entry: string): void {
      heap.push(entry);
      for (let i = heap.length - 1; i > 0;) {
        const parent = (i - 1) >> 1;
        if (!above(i, parent)) return;
        swap(i, parent);
        i = parent;
      }
    },
    pop(): string | undefined {
      const smallest = heap[0];
      const last = heap.pop();
      if (heap.length === 0 || last === undefined) return smallest;
      heap[0] = last;
      for (let i = 0; ;) {
        const left = 2 * i + 1;
        const right = left + 1;
        let next = i;
        if (left < heap.length && above(left, next)) next = left;
        if (right < heap.length && above(right, next)) next = right;
        if (next === i) return smallest;
        swap(i, next);
        i = next;
      }
    },
  };
}

/** The parents of a node inside the graph, each once. */
function parentsWithin(node: GraphNode, ids: { has(id: string): boolean }): string[] {
  return [...new Set(node.parents)].filter((parent) => ids.has(parent));
}

function childrenOf(nodes: readonly GraphNode[]): Map<string, string[]> {
  const children = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const node of nodes) for (const parent of parentsWithin(node, children)) children.get(parent)!.push(node.id);
  return children;
}

/**
 * Kahn's algorithm; among the nodes whose parents are all placed, the smallest id is placed first. Depends on the graph and
 * on nothing else: the order in which the nodes are given does not matter.
 * @throws {UnwindError} InvalidCatalog: the graph has a cycle; names it.
 */
export function topologicalOrder(nodes: readonly GraphNode[], idOrder: IdOrder): string[] {
  const children = childrenOf(nodes);
  const waitingFor = new Map(nodes.map((node) => [node.id, parentsWithin(node, children).length]));
  const free = createHeap(compareIds(idOrder));
  for (const [id, count] of waitingFor) if (count === 0) free.push(id);
  const order: string[] = [];
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    order.push(id);
    for (const child of children.get(id)!) {
      const left = waitingFor.get(child)! - 1;
      waitingFor.set(child, left);
      if (left === 0) free.push(child);
    }
  }
  if (order.length < waitingFor.size) {
    const cycle = findCycle(nodes) ?? [];
    throw new UnwindError(
      FailureType.InvalidCatalog,
      `The migrations have a dependency cycle: ${[...cycle, cycle[0]].join(' is a parent of ')}. ` +
        'No order can apply or undo them; correct the "parents" of one of them and build the catalog again.',
      { details: { cycle } },
    );
  }
  return order;
}

/** Some cycle of the graph, each id a parent of the one after it and the last of the first; null when there is none. */
export function findCycle(nodes: readonly GraphNode[]): string[] | null {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const finished = new Set<string>();
  for (const { id: start } of nodes) {
    // A walk along the parents, kept as an explicit path: a long chain must not exhaust the call stack.
    const path: { id: string; parents: string[] }[] = [];
    const position = new Map<string, number>();
    const enter = (id: string) => {
      position.set(id, path.length);
      path.push({ id, parents: parentsWithin(byId.get(id)!, byId) });
    };
    if (!finished.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const parent = top.parents.shift();
      if (parent === undefined) {
        finished.add(top.id);
        position.delete(top.id);
        path.pop();
      } else if (position.has(parent)) {
        return path
          .slice(position.get(parent))
          .map(({ id }) => id)
          .reverse();
      } else if (!finished.has(parent)) {
        enter(parent);
      }
    }
  }
  return null;
}

/** The ids themselves and everything they stand on. Ids and parents that are not in `byId` are left out. */
export function ancestors(
  byId: ReadonlyMap<string, { readonly parents: readonly string[] }>,
  ids: Iterable<string>,
): Set<string> {
  const found = new Set<string>();
  const open = [...ids];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const node = byId.get(id);
    if (node === undefined || found.has(id)) continue;
    found.add(id);
    open.push(...node.parents);
  }
  return found;
}

/** Nodes that are nobody's parent, in the order given. */
export function leaves(nodes: readonly GraphNode[]): string[] {
  const parents = new Set(nodes.flatMap((node) => node.parents));
  return nodes.filter((node) => !parents.has(node.id)).map((node) => node.id);
}

/** Nodes without a parent among the nodes, in the order given. */
export function roots(nodes: readonly GraphNode[]): string[] {
  const ids = new Set(nodes.map((node) => node.id));
  return nodes.filter((node) => parentsWithin(node, ids).length === 0).map((node) => node.id);
}

/**
 * The deepest node that lies on every path from a root to a leaf: what a squash folds everything above into.
 * Null for an empty graph, and where no node lies on all paths (several roots that never meet).
 * @throws {UnwindError} InvalidCatalog: the graph has a cycle.
 */
export function dominator(nodes: readonly GraphNode[]): string | null {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  // The dominator tree, grown in topological order: a node hangs below the nearest node that its parents have in common
  // (Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm"). Null is the imaginary root above all roots.
  const depth = new Map<string, number>();
  const above = new Map<string, string | null>();
  const depthOf = (id: string | null) => (id === null ? 0 : depth.get(id)!);
  const meet = (a: string | null, b: string | null): string | null => {
    while (a !== b) {
      if (depthOf(a) >= depthOf(b)) a = above.get(a!)!;
      else b = above.get(b!)!;
    }
    return a;
  };
  const common = (ids: readonly string[]) =>
    ids.length === 0 ? null : (ids as readonly (string | null)[]).reduce(meet)!;
  for (const id of topologicalOrder(nodes, 'string')) {
    const parent = common(parentsWithin(byId.get(id)!, byId));
    above.set(id, parent);
    depth.set(id, depthOf(parent) + 1);
  }
  return common(leaves(nodes));
}

/**
 * The sub-graph of the given ids, in topological order.
 * @throws {UnwindError} InvalidCatalog: an id is no node, or an included node has a parent that is not included.
 */
export function filter<N extends GraphNode>(nodes: readonly N[], ids: Iterable<string>, idOrder: IdOrder): N[] {
  const included = new Set(ids);
  const byId = new Map(nodes.filter((node) => included.has(node.id)).map((node) => [node.id, node]));
  const compare = compareIds(idOrder);
  for (const id of [...included].sort(compare)) {
    const node = byId.get(id);
    if (node === undefined) {
      throw new UnwindError(FailureType.InvalidCatalog, `migration ${id} (included) does not exist`, {
        details: { included: id },
      });
    }
    const excludedParent = [...node.parents].sort(compare).find((parent) => !included.has(parent));
    if (excludedParent !== undefined) {
      throw new UnwindError(
        FailureType.InvalidCatalog,
        `migration ${id} (included) references parent migration ${excludedParent} (excluded)`,
        { details: { included: id, excludedParent } },
      );
    }
  }
  return topologicalOrder([...byId.values()], idOrder).map((id) => byId.get(id)!);
}
