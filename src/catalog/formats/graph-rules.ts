import type { DatabaseName, IdOrder, MigrationId, SourceProblem } from '../../contract/catalog.js';
import { compareIds, findCycle } from '../graph.js';

/** A migration of one release; parents null where its metadata could not be read. */
export interface RuledNode {
  readonly id: MigrationId;
  readonly parents: readonly MigrationId[] | null;
}

/** V2 parents exist, V3 one root, V4 no cycle: what the graph of one release's files must satisfy. */
export function graphProblems(database: DatabaseName, nodes: readonly RuledNode[], idOrder: IdOrder): SourceProblem[] {
  const known = new Set(nodes.map(({ id }) => id));
  const problem = (rule: string, name: string, ids: readonly MigrationId[], message: string): SourceProblem => {
    return { rule, class: name, file: null, database, ids: [...ids].sort(compareIds(idOrder)), message };
  };
  const problems = nodes.flatMap(({ id, parents }) =>
    (parents ?? [])
      .filter((parent) => !known.has(parent))
      .map((parent) =>
        problem(
          'V2',
          'unknown migration',
          [id],
          `${id} names ${parent} as a parent, which this release does not have.`,
        ),
      ),
  );
  const roots = nodes.filter(({ parents }) => parents?.length === 0).map(({ id }) => id);
  const unread = nodes.some(({ parents }) => parents === null); // one of those may be the root
  if (roots.length > 1) {
    const message = `${roots.length} migrations have no parents (${roots.join(', ')}); exactly one may.`;
    problems.push(problem('V3', 'multiple roots', roots, message));
  }
  if (roots.length === 0 && nodes.length > 0 && !unread) {
    problems.push(problem('V3', 'no roots', [], 'Every migration has a parent; exactly one must have none.'));
    return problems; // a graph without a root is cyclic: once is enough
  }
  return [...problems, ...cycles(nodes).map((cycle) => cycleProblem(database, cycle, idOrder))];
}

export function cycleProblem(database: DatabaseName, cycle: readonly MigrationId[], idOrder: IdOrder): SourceProblem {
  return {
    rule: 'V4',
    class: 'migration dependency cycle',
    file: null,
    database,
    ids: [...cycle].sort(compareIds(idOrder)),
    message: `The parents run in a circle: ${[...cycle, cycle[0]].join(' → ')}.`,
  };
}

/** Cycles that have no migration in common. */
function cycles(nodes: readonly RuledNode[]): MigrationId[][] {
  let rest = nodes.map(({ id, parents }) => ({ id, parents: parents ?? [] }));
  const all: MigrationId[][] = [];
  for (let cycle = findCycle(rest); cycle !== null; cycle = findCycle(rest)) {
    const members = new Set(cycle);
    all.push(cycle);
    rest = rest.filter(({ id }) => !members.has(id));
  }
  return all;
}
