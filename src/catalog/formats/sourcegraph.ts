import type { DatabaseName, MigrationId, SourceProblem } from '../../contract/catalog.js';
import { hashScript } from '../../postgres/script.js';
import { compareIds } from '../graph.js';
import type { Definition, Format, FormatReading, Tree } from './format.js';
import { graphProblems, type RuledNode } from './graph-rules.js';
import { readMetadata } from './sourcegraph-metadata.js';
import { canonicalText, textBreaches } from './sourcegraph-text.js';

const ID_ORDER = 'numeric';
const FILES = ['up.sql', 'down.sql', 'metadata.yaml'] as const;
const MALFORMED = 'malformed migration definition';
/** The id is the integer before the first `_`; folders named otherwise are no migrations. */
const FOLDER = /^(\d+)(?:_(.*))?$/;

/** The folder of one migration. */
interface Folder {
  readonly id: MigrationId;
  readonly slug: string;
  readonly path: string;
  readonly files: ReadonlyMap<string, Buffer>;
}

/** What one folder says; remembered by its three buffers, since most folders are the same in every release. */
interface FolderReading {
  readonly node: RuledNode;
  readonly definition: Definition | null;
  readonly problems: readonly SourceProblem[];
}

/** Sourcegraph's layout: `<database>/<id>[_slug]/{up.sql,down.sql,metadata.yaml}`. */
export function createSourcegraphFormat(): Format {
  const remembered = new WeakMap<
    Buffer,
    { key: string; files: readonly (Buffer | undefined)[]; reading: FolderReading }[]
  >();

  async function readOnce(folder: Folder, database: DatabaseName): Promise<FolderReading> {
    const files = FILES.map((name) => folder.files.get(name));
    const anchor = files.find((file) => file !== undefined);
    const key = `${database}\0${folder.path}`;
    const entries = (anchor && remembered.get(anchor)) ?? [];
    const known = entries.find((entry) => entry.key === key && entry.files.every((file, i) => file === files[i]));
    if (known !== undefined) return known.reading;
    const reading = await readFolder(folder, database);
    if (anchor !== undefined) remembered.set(anchor, [...entries, { key, files, reading }]);
    return reading;
  }

  return {
    name: 'sourcegraph',
    idOrder: ID_ORDER,
    async read(tree, database): Promise<FormatReading> {
      const problems: SourceProblem[] = [];
      const databases = [];
      for (const [name, folders] of foldersOf(tree, database)) {
        const readings = [];
        for (const folder of folders) readings.push(await readOnce(folder, name));
        const nodes = readings.map(({ node }) => node);
        problems.push(...readings.flatMap((reading) => reading.problems), ...duplicateProblems(name, folders));
        problems.push(...graphProblems(name, nodes, ID_ORDER));
        databases.push({ name, migrations: readings.flatMap(({ definition }) => definition ?? []) });
      }
      if (databases.length === 0) problems.push(nothingFound(tree));
      return { databases, problems };
    },
  };
}

function foldersOf(tree: Tree, onlyDatabase: DatabaseName): Map<DatabaseName, Folder[]> {
  const byPath = new Map<
    string,
    { database: DatabaseName; id: MigrationId; slug: string; files: Map<string, Buffer> }
  >();
  for (const [path, bytes] of tree.files) {
    const parts = path.split('/');
    const direct = parts.length >= 2 && FOLDER.test(parts[0]!);
    const depth = direct ? 1 : 2;
    const match = FOLDER.exec(parts[depth - 1] ?? '');
    if (match === null || parts.length <= depth) continue;
    const folder = parts.slice(0, depth).join('/');
    const entry = byPath.get(folder) ?? {
      database: direct ? onlyDatabase : parts[0]!,
      id: BigInt(match[1]!).toString(),
      slug: match[2] ?? '',
      files: new Map<string, Buffer>(),
    };
    byPath.set(folder, entry);
    if (parts.length === depth + 1) entry.files.set(parts[depth]!, bytes);
  }
  const databases = new Map<DatabaseName, Folder[]>();
  for (const [path, { database, ...folder }] of byPath) {
    databases.set(database, [...(databases.get(database) ?? []), { path, ...folder }]);
  }
  const order = compareIds(ID_ORDER);
  for (const folders of databases.values()) folders.sort((a, b) => order(a.id, b.id) || (a.path < b.path ? -1 : 1));
  return new Map([...databases].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function readFolder(folder: Folder, database: DatabaseName): Promise<FolderReading> {
  const { id, path } = folder;
  const problems: SourceProblem[] = [];
  const malformed = (file: string, message: string) => {
    problems.push({ rule: 'V1', class: MALFORMED, file: `${path}/${file}`, database, ids: [id], message });
  };
  const contents = new Map<string, string>();
  for (const file of FILES) {
    const bytes = folder.files.get(file);
    if (bytes === undefined) malformed(file, `${file} is missing; every migration has ${FILES.join(', ')}.`);
    const text = bytes && decode(bytes);
    if (text === null) malformed(file, 'The file is not UTF-8; save it so.');
    if (typeof text === 'string') contents.set(file, text);
  }
  const yaml = contents.get('metadata.yaml');
  const read = yaml === undefined ? null : readMetadata(yaml);
  if (read?.kind === 'bad') malformed('metadata.yaml', `The file cannot be used: ${read.why}.`);
  const metadata = read?.kind === 'read' ? read.metadata : null;
  const node = { id, parents: metadata?.parents ?? null };
  const [up, down] = [contents.get('up.sql'), contents.get('down.sql')];
  if (metadata === null || up === undefined || down === undefined) return { node, definition: null, problems };

  const texts = { up: canonicalText(up), down: canonicalText(down) };
  const { index, breaches } = await textBreaches(texts, metadata);
  for (const { rule, class: name, direction, message } of breaches) {
    problems.push({ rule, class: name, file: `${path}/${direction}.sql`, database, ids: [id], message });
  }
  const textOf = (direction: 'up' | 'down', raw: string) => {
    const text = texts[direction];
    const line = raw.slice(0, raw.lastIndexOf(text)).split('\n').length; // it is one piece of the raw text
    return { file: `${path}/${direction}.sql`, line, text, sha256: hashScript(text) };
  };
  const name = metadata.name ?? (folder.slug || id);
  const { parents, privileged, nonIdempotent, terminateBlockers } = metadata;
  const squashed = name.startsWith('squashed migrations');
  const flags = { privileged, nonIdempotent, terminateBlockers, concurrentIndex: index, squashed };
  return {
    node,
    definition: { id, name, parents, ...flags, up: textOf('up', up), down: textOf('down', down) },
    problems,
  };
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function duplicateProblems(database: DatabaseName, folders: readonly Folder[]): SourceProblem[] {
  return folders.flatMap((folder, i): SourceProblem[] => {
    const before = folders[i - 1];
    if (before?.id !== folder.id) return [];
    const message = `${before.path} and ${folder.path} have the same id; rename one of them.`;
    return [{ rule: 'V1', class: MALFORMED, file: folder.path, database, ids: [folder.id], message }];
  });
}

function nothingFound(tree: Tree): SourceProblem {
  const top = [...new Set([...tree.files.keys()].map((path) => path.split('/')[0]!))].sort();
  const seen = top.length === 0 ? 'nothing' : top.slice(0, 5).join(', ') + (top.length > 5 ? ', …' : '');
  const message = `No migration was found: expected <database>/<id>_<name>/up.sql, found ${seen}. Check the path inside the source.`;
  return { rule: 'V1', class: MALFORMED, file: null, database: null, ids: [], message };
}
