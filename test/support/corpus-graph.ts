import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { topologicalOrder } from '../../src/catalog/graph.js';
import type { Catalog, CatalogMigration, CatalogRelease, ScriptVersion } from '../../src/contract/catalog.js';
import type { ScriptFacts } from '../../src/contract/script.js';
import { corpora } from './shared.js';

export const CORPUS = 'sourcegraph-migrations.bundle';
const DATABASES = ['frontend', 'codeintel', 'codeinsights'];
/** Its files hold every migration of every other tag (reference sourcegraph-migrator.md §8.1). */
const NEWEST = 'v7.2.0';
const FILE = /^migrations\/([^/]+)\/(\d+)[^/]*\/(up\.sql|down\.sql|metadata\.yaml)$/;

interface Metadata {
  readonly name?: string;
  readonly parents?: readonly number[];
  readonly parent?: number;
  readonly privileged?: boolean;
}

/**
 * The corpus as the planner needs it: graph, releases and which text each tag carries (git's blob ids stand in for the
 * hashes of texts; every script counts as atomic). Read from git alone, so that it is independent of the catalog's builder.
 */
export function corpusGraph(): Catalog {
  const folder = mkdtempSync(path.join(tmpdir(), 'pg-unwind-corpus-'));
  try {
    const bare = path.join(folder, 'corpus.git');
    execFileSync('git', ['clone', '--quiet', '--bare', path.join(corpora, CORPUS), bare]);
    return readGraph((...args) =>
      execFileSync('git', [`--git-dir=${bare}`, ...args], { encoding: 'utf8', maxBuffer: 1 << 26 }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Git = (...args: string[]) => string;

function readGraph(git: Git): Catalog {
  const labels = git(
    'for-each-ref',
    '--sort=v:refname',
    '--format=%(refname:short) %(creatordate:iso-strict)',
    'refs/tags',
  )
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .map(([label, date]) => ({ label: label!, publishedAt: new Date(date!).toISOString() }));
  const trees = labels.map(({ label }) => readTree(git, label));
  const newest = trees[labels.findIndex(({ label }) => label === NEWEST)]!;
  const texts = new Set<string>();
  const versions = (database: string, id: string, file: string): ScriptVersion[] => {
    const carriers = new Map<string, [number, number][]>();
    trees.forEach((tree, index) => {
      const blob = tree.get(`${database} ${id} ${file}`);
      if (blob === undefined) return;
      texts.add(blob);
      carriers.set(blob, [...(carriers.get(blob) ?? []), [index, index]]);
    });
    return [...carriers].map(([sha256, carriedBy]) => ({ sha256, carriedBy }));
  };
  const databases = DATABASES.map((name) => {
    const migrations = new Map<string, CatalogMigration>();
    for (const [key, blob] of newest) {
      const [database, id, file] = key.split(' ');
      if (database !== name || file !== 'metadata.yaml') continue;
      const metadata = parse(git('cat-file', 'blob', blob)) as Metadata;
      const parents = [...(metadata.parents ?? []), ...(metadata.parent ? [metadata.parent] : [])];
      migrations.set(id!, {
        id: id!,
        name: metadata.name ?? '',
        parents: parents.toSorted((a, b) => a - b).map(String),
        privileged: metadata.privileged ?? false,
        nonIdempotent: false,
        terminateBlockers: false,
        concurrentIndex: null,
        up: versions(name, id!, 'up.sql'),
        down: versions(name, id!, 'down.sql'),
      });
    }
    const order = topologicalOrder([...migrations.values()], 'numeric');
    return { name, idOrder: 'numeric' as const, migrations: order.map((id) => migrations.get(id)!), squashRoots: [] };
  });
  const releases = new Map<string, { labels: number[]; sets: CatalogRelease['sets']; size: number }>();
  trees.forEach((tree, index) => {
    const members = databases.map(({ name, migrations }) =>
      migrations.flatMap(({ id }, i) => (tree.has(`${name} ${id} metadata.yaml`) ? [[i, i] as const] : [])),
    );
    const sets = Object.fromEntries(databases.map(({ name }, i) => [name, members[i]!]));
    const key = JSON.stringify(sets);
    const release = releases.get(key) ?? { labels: [], sets, size: members.flat().length };
    release.labels.push(index);
    releases.set(key, release);
  });
  const published = (index: number) => labels[index]!.publishedAt;
  return {
    catalogFormat: 1,
    product: 'sourcegraph',
    format: 'sourcegraph',
    databases,
    labels,
    releases: [...releases.values()]
      .toSorted((a, b) => a.size - b.size || a.labels[0]! - b.labels[0]!)
      .map(({ labels: of, sets }) => {
        const first = of.reduce((a, b) => (published(b) < published(a) ? b : a));
        return { labels: [first, ...of.filter((index) => index !== first)], sets };
      }),
    scripts: Object.fromEntries([...texts].map((sha256) => [sha256, atomic(sha256)])),
  };
}

/** Blob by `database id file`. */
function readTree(git: Git, tag: string): Map<string, string> {
  const tree = new Map<string, string>();
  for (const line of git('ls-tree', '-r', tag, 'migrations').trim().split('\n')) {
    const [entry, file] = line.split('\t');
    const match = FILE.exec(file!);
    if (match !== null) tree.set(match.slice(1).join(' '), entry!.split(' ')[2]!);
  }
  return tree;
}

function atomic(sha256: string): ScriptFacts {
  return {
    sha256,
    bytes: 1,
    statements: 1,
    execution: 'atomic',
    units: [{ kind: 'transaction', span: { start: 0, end: 1 }, statements: 1 }],
    refused: null,
    destroys: [],
    sessionState: [],
    settings: [],
    countAfresh: false,
    notes: [],
  };
}
