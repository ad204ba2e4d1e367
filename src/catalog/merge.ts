import type {
  CatalogDatabase,
  CatalogMigration,
  DatabaseName,
  IdOrder,
  MigrationId,
  ScriptVersion,
  SourceProblem,
} from '../contract/catalog.js';
import type { Definition, DefinitionText, FormatReading } from './formats/format.js';
import { cycleProblem } from './formats/graph-rules.js';
import { ancestors, compareIds, findCycle, topologicalOrder } from './graph.js';
import { toRanges } from './ranges.js';

/** A migration as the release of one label defines it. */
interface Carried {
  readonly label: number;
  readonly definition: Definition;
}

export interface MergedDatabase {
  readonly database: CatalogDatabase;
  /** Per label: indexes into the database's migrations; the effective (stitched) sets. */
  readonly sets: readonly (readonly number[])[];
  /** The texts that the catalog keeps, newest label first. */
  readonly carried: readonly { readonly id: MigrationId; readonly label: number; readonly text: DefinitionText }[];
}

/** One graph per database out of the graphs of all releases; `readings` are in the order of the labels. */
export function mergeDatabases(readings: readonly FormatReading[], idOrder: IdOrder) {
  const names = [...new Set(readings.flatMap(({ databases }) => databases.map(({ name }) => name)))].sort();
  const problems: SourceProblem[] = [];
  const databases: MergedDatabase[] = [];
  for (const name of names) {
    const files = readings.map(
      (reading) => reading.databases.find((database) => database.name === name)?.migrations ?? [],
    );
    const merged = mergeDatabase(name, files, idOrder);
    if (Array.isArray(merged)) problems.push(...merged);
    else databases.push(merged);
  }
  return { databases, problems };
}

function mergeDatabase(
  name: DatabaseName,
  files: readonly (readonly Definition[])[],
  idOrder: IdOrder,
): MergedDatabase | SourceProblem[] {
  const everywhere = new Map<MigrationId, Carried[]>();
  for (const [label, definitions] of files.entries()) {
    for (const definition of definitions) {
      everywhere.set(definition.id, [...(everywhere.get(definition.id) ?? []), { label, definition }]);
    }
  }
  const own = new Map([...everywhere].map(([id, carried]) => [id, ownOf(carried)]));
  const nodes = new Map([...own].map(([id, carried]) => [id, { id, parents: newest(carried).parents }]));
  const problems = graphProblemsOf(name, nodes, idOrder);
  if (problems.length > 0) return problems;

  const order = topologicalOrder([...nodes.values()], idOrder);
  const position = new Map(order.map((id, index) => [id, index]));
  const squashRoots = new Set<MigrationId>();
  const sets = files.map((definitions) => {
    const present = new Set(definitions.map(({ id }) => id));
    const squashes = definitions.filter((definition) => isSquash(definition, everywhere.get(definition.id)!));
    const effective = new Set(present);
    for (const { id } of squashes) {
      const missing = [...ancestors(nodes, [id])].filter((ancestor) => !present.has(ancestor));
      if (missing.length > 0) squashRoots.add(id);
      for (const ancestor of missing) effective.add(ancestor);
    }
    return [...effective].map((id) => position.get(id)!);
  });
  const byId = compareIds(idOrder);
  return {
    database: {
      name,
      idOrder,
      migrations: order.map((id) => migrationOf(own.get(id)!, byId)),
      squashRoots: [...squashRoots].sort(byId),
    },
    sets,
    carried: order.flatMap((id) =>
      [...own.get(id)!]
        .reverse()
        .flatMap(({ label, definition: { up, down } }) => [up, down].map((text) => ({ id, label, text }))),
    ),
  };
}

/** A definition that stands for earlier ones: its files say so, or it is a root that has parents elsewhere. */
function isSquash(definition: Definition, everywhere: readonly Carried[]): boolean {
  if (definition.squashed) return true;
  return definition.parents.length === 0 && everywhere.some((other) => other.definition.parents.length > 0);
}

/** An id's own definitions win over those that a squash wrote in their place; where there are no others, they are its own. */
function ownOf(everywhere: readonly Carried[]): readonly Carried[] {
  const own = everywhere.filter(({ definition }) => !isSquash(definition, everywhere));
  return own.length > 0 ? own : everywhere;
}

/** That of the highest version, whatever its date: labels are in version order. */
function newest(carried: readonly Carried[]): Definition {
  return carried.at(-1)!.definition;
}

/** Each release's graph is sound by itself; merged, their newest parents may still contradict each other. */
function graphProblemsOf(
  database: DatabaseName,
  nodes: ReadonlyMap<MigrationId, { readonly id: MigrationId; readonly parents: readonly MigrationId[] }>,
  idOrder: IdOrder,
): SourceProblem[] {
  const unknown = [...nodes.values()].flatMap(({ id, parents }) =>
    parents
      .filter((parent) => !nodes.has(parent))
      .map((parent): SourceProblem => {
        const message = `${id} names ${parent} as a parent, which no release has.`;
        return { rule: 'V2', class: 'unknown migration', file: null, database, ids: [id], message };
      }),
  );
  const cycle = findCycle([...nodes.values()]);
  if (cycle === null) return unknown;
  const problem = cycleProblem(database, cycle, idOrder);
  const message = `${problem.message} Each release is free of it: their parents contradict each other.`;
  return [...unknown, { ...problem, message }];
}

function migrationOf(own: readonly Carried[], byId: (a: string, b: string) => number): CatalogMigration {
  const { id, name, parents, privileged, nonIdempotent, terminateBlockers, concurrentIndex } = newest(own);
  return {
    id,
    name,
    parents: [...parents].sort(byId),
    privileged,
    nonIdempotent,
    terminateBlockers,
    concurrentIndex,
    up: versionsOf(own, 'up'),
    down: versionsOf(own, 'down'),
  };
}

/** By the highest label that carries them: the last is the newest. */
function versionsOf(own: readonly Carried[], direction: 'up' | 'down'): ScriptVersion[] {
  const labels = new Map<string, number[]>();
  for (const { label, definition } of own) {
    const { sha256 } = definition[direction];
    labels.set(sha256, [...(labels.get(sha256) ?? []), label]);
  }
  return [...labels]
    .sort(([, a], [, b]) => a.at(-1)! - b.at(-1)!)
    .map(([sha256, carriedBy]) => ({ sha256, carriedBy: toRanges(carriedBy) }));
}
