import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { ancestors, compareIds, topologicalOrder } from '../../../src/catalog/graph.js';
import type {
  Catalog,
  CatalogDatabase,
  CatalogRelease,
  IdOrder,
  ScriptVersion,
} from '../../../src/contract/catalog.js';
import type { ScriptFacts } from '../../../src/contract/script.js';
import type { PlanInput } from '../../../src/plan/plan.js';

export const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');

export interface SmallDatabase {
  /** Parents by id. */
  readonly graph: Readonly<Record<string, readonly (string | number)[]>>;
  readonly squashRoots?: readonly string[];
  readonly idOrder?: IdOrder;
}

export interface SmallRelease {
  readonly label: string;
  readonly publishedAt?: string;
  /** Ids by database. */
  readonly ids: Readonly<Record<string, readonly (string | number)[]>>;
}

export interface SmallCatalog {
  readonly databases: Readonly<Record<string, SmallDatabase>>;
  /** In the order of the source. */
  readonly releases: readonly SmallRelease[];
  /** Other than one unchanging text: `'app 5 down'` to the text at each label that carries one; the newest is the last. */
  readonly texts?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Facts of a text, over those of an atomic script without peculiarities. */
  readonly facts?: Readonly<Record<string, Partial<ScriptFacts>>>;
}

function factsOf(text: string, facts: Partial<ScriptFacts>): ScriptFacts {
  return {
    sha256: sha256(text),
    bytes: text.length,
    statements: 1,
    execution: 'atomic',
    units: [{ kind: 'transaction', span: { start: 0, end: text.length }, statements: 1 }],
    refused: null,
    destroys: [],
    sessionState: [],
    settings: [],
    countAfresh: false,
    notes: [],
    ...facts,
  };
}

/** Closed ranges over ascending numbers. */
export function ranges(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found;
}

/** A catalog written down by hand: every id carries one text per direction, unless `texts` says otherwise. */
export function smallCatalog(small: SmallCatalog): Catalog {
  const labels = small.releases.map(({ label, publishedAt }) => ({ label, publishedAt: publishedAt ?? null }));
  const scripts: Record<string, ScriptFacts> = {};
  const versions = (database: string, id: string, direction: 'up' | 'down'): ScriptVersion[] => {
    const key = `${database} ${id} ${direction}`;
    const carriers = new Map<string, number[]>();
    small.releases.forEach(({ label, ids }, index) => {
      if (!(ids[database] ?? []).map(String).includes(id)) return;
      const text = small.texts?.[key] === undefined ? key : small.texts[key][label];
      if (text !== undefined) carriers.set(text, [...(carriers.get(text) ?? []), index]);
    });
    return [...carriers].map(([text, carriedBy]) => {
      scripts[sha256(text)] = factsOf(text, small.facts?.[text] ?? {});
      return { sha256: sha256(text), carriedBy: ranges(carriedBy) };
    });
  };
  const databases = Object.entries(small.databases).map(([name, { graph, squashRoots, idOrder = 'numeric' }]) => {
    const nodes = Object.entries(graph).map(([id, parents]) => ({ id, parents: parents.map(String) }));
    return {
      name,
      idOrder,
      migrations: topologicalOrder(nodes, idOrder).map((id) => ({
        id,
        name: `migration ${id}`,
        parents: graph[id]!.map(String).sort(compareIds(idOrder)),
        privileged: false,
        nonIdempotent: false,
        terminateBlockers: false,
        concurrentIndex: null,
        up: versions(name, id, 'up'),
        down: versions(name, id, 'down'),
      })),
      squashRoots: squashRoots ?? [],
    } satisfies CatalogDatabase;
  });
  return {
    catalogFormat: 1,
    product: 'shop',
    format: 'small',
    databases,
    labels,
    releases: groupReleases(small, databases),
    scripts,
  };
}

function groupReleases(small: SmallCatalog, databases: readonly CatalogDatabase[]): CatalogRelease[] {
  const groups = new Map<string, { labels: number[]; sets: Record<string, [number, number][]>; size: number }>();
  small.releases.forEach(({ ids }, index) => {
    const members = databases.map(({ name, migrations }) => {
      const held = new Set((ids[name] ?? []).map(String));
      return [name, migrations.flatMap(({ id }, i) => (held.has(id) ? [i] : []))] as const;
    });
    const sets = Object.fromEntries(members.map(([name, indexes]) => [name, ranges(indexes)]));
    const size = members.reduce((sum, [, indexes]) => sum + indexes.length, 0);
    const group = groups.get(JSON.stringify(sets)) ?? { labels: [], sets, size };
    group.labels.push(index);
    groups.set(JSON.stringify(sets), group);
  });
  return [...groups.values()]
    .toSorted((a, b) => a.size - b.size || a.labels[0]! - b.labels[0]!)
    .map(({ labels, sets }) => ({ labels, sets }));
}

/** Every id of a release, with a row of its own. */
export function ledgerAt(small: SmallCatalog, label: string): PlanInput['ledger'] {
  const { ids } = small.releases.find((release) => release.label === label)!;
  return Object.fromEntries(
    Object.keys(small.databases).map((name) => [name, { applied: (ids[name] ?? []).map(String), absent: [] }]),
  );
}

/** Two databases, whose releases hold whatever their leaves stand on; some are nested and some are not. */
export function smallCatalogs(): fc.Arbitrary<SmallCatalog> {
  const graph = fc.integer({ min: 1, max: 12 }).chain((size) => {
    const parents = Array.from({ length: size }, (_, i) =>
      fc.subarray(
        Array.from({ length: i }, (_, parent) => (parent * 7) % 13),
        { maxLength: Math.min(i, 3) },
      ),
    );
    return fc.tuple(...parents).map((all) => Object.fromEntries(all.map((of, i) => [String((i * 7) % 13), of])));
  });
  return fc.tuple(graph, graph).chain(([app, audit]) => {
    const closed = (nodes: Record<string, number[]>) => {
      const byId = new Map(Object.entries(nodes).map(([id, parents]) => [id, { parents: parents.map(String) }]));
      return fc.subarray(Object.keys(nodes)).map((ids) => [...ancestors(byId, ids)]);
    };
    return fc.array(fc.record({ app: closed(app), audit: closed(audit) }), { maxLength: 7 }).map((sets) => ({
      databases: { app: { graph: app }, audit: { graph: audit } },
      releases: [
        { label: 'v0', ids: {} },
        ...sets.map((ids, i) => ({ label: `v${i + 1}`, ids })),
        { label: 'v99', ids: { app: Object.keys(app), audit: Object.keys(audit) } },
      ],
    }));
  });
}
