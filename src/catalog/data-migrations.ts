import { parseDocument } from 'yaml';

import type { DatabaseName, DataHandler, DataMigrationId, SourceProblem } from '../contract/catalog.js';
import { hashScript } from '../postgres/script.js';
import { kindOf, readDefinition, type DataDefinition } from './data-definition.js';
import { queryFaults, type QueryKind } from './data-queries.js';
import type { Tree } from './formats/format.js';

/** Beside the folders of the databases; any format's tree may have it. */
export const DATA_FILE = 'data-migrations.yaml';
const MISSPELT = ['data-migrations.yml', 'data_migrations.yaml', 'data_migrations.yml'];

/** A data migration as the release of one tree defines it. */
export interface DataEntry {
  readonly id: DataMigrationId;
  /** Null where the key is missing or is no text, which `problems` tells. */
  readonly database: DatabaseName | null;
  readonly introduced: string | null;
  readonly deprecated: string | null;
  /** Null where its shape is broken. */
  readonly sound: { readonly definition: DataDefinition; readonly handler: DataHandler } | null;
}

export interface DataReading {
  /** As the file has them, each id once. */
  readonly entries: readonly DataEntry[];
  /** The queries by hash. */
  readonly texts: ReadonlyMap<string, string>;
  readonly problems: readonly SourceProblem[];
}

/** Every broken rule of a tree's data migrations; what depends on other releases is looked at when they are merged. */
export async function readDataMigrations(tree: Tree, databases: readonly DatabaseName[]): Promise<DataReading> {
  const bytes = tree.files.get(DATA_FILE);
  const problems: SourceProblem[] = [];
  for (const file of MISSPELT.filter((name) => tree.files.has(name))) {
    problems.push({ ...dataProblem(null, null, `Nobody reads this name; call the file ${DATA_FILE}.`), file });
  }
  const content = bytes === undefined ? [] : readFile(bytes);
  if (typeof content === 'string') problems.push(dataProblem(null, null, content));

  const entries: DataEntry[] = [];
  const texts = new Map<string, string>();
  for (const [i, raw] of (typeof content === 'string' ? [] : content).entries()) {
    const { entry, faults } = await readEntry(raw, texts);
    const { id, database } = entry;
    const where = id === null ? `Entry ${i + 1}: ` : '';
    if (database !== null && databases.length > 0 && !databases.includes(database)) {
      faults.push(`There is no database "${database}"; this release has ${databases.join(', ')}.`);
    }
    if (id !== null && entries.some((other) => other.id === id)) {
      faults.push(`The id ${id} is there twice; give this one (entry ${i + 1}) another.`);
    } else if (id !== null) {
      entries.push({ ...entry, id });
    }
    for (const fault of faults) problems.push(dataProblem(id, database, `${where}${fault}`));
  }
  return { entries, texts, problems };
}

export function dataProblem(
  id: DataMigrationId | null,
  database: DatabaseName | null,
  message: string,
  file = DATA_FILE,
): SourceProblem {
  return { rule: 'data', class: 'unusable data migration', file, database, ids: id === null ? [] : [id], message };
}

/** The entries of the file; a text says why there are none. */
function readFile(bytes: Buffer): readonly unknown[] | string {
  let value: unknown;
  try {
    const document = parseDocument(new TextDecoder('utf-8', { fatal: true }).decode(bytes), { logLevel: 'silent' });
    const [error] = document.errors;
    if (error !== undefined) return `The file is not YAML: ${error.message.split('\n')[0] ?? error.code}`;
    value = document.toJS();
  } catch (error) {
    // The decoder's own error, or an alias that leads nowhere.
    return error instanceof ReferenceError
      ? `The file is not YAML: ${error.message}.`
      : 'The file is not UTF-8; save it so.';
  }
  if (!isGroup(value)) return `The file holds ${kindOf(value)}; it must hold one key, "dataMigrations", with a list.`;
  const unknown = Object.keys(value).filter((key) => key !== 'dataMigrations');
  if (unknown.length > 0) return `The file has unknown keys (${unknown.join(', ')}); it has one: "dataMigrations".`;
  const list = value['dataMigrations'];
  return Array.isArray(list) ? list : `"dataMigrations" is ${kindOf(list)}; it must be a list.`;
}

async function readEntry(raw: unknown, texts: Map<string, string>) {
  const nothing = { id: null, database: null, introduced: null, deprecated: null, sound: null };
  if (!isGroup(raw)) return { entry: nothing, faults: [`It is ${kindOf(raw)}; it must be a group of keys.`] };
  const { definition, faults: found, ...named } = readDefinition(raw);
  const faults = [...found];
  for (const [name, kind, text] of queriesOf(raw)) {
    for (const fault of await queryFaults(kind, text)) faults.push(`The query "${name}" ${fault}`);
  }
  const handler = definition === null ? null : handlerOf(definition, texts);
  return {
    entry: { ...named, sound: definition === null || handler === null ? null : { definition, handler } },
    faults,
  };
}

/** The queries that are there, of a broken entry too. */
function queriesOf(raw: Readonly<Record<string, unknown>>): [name: string, kind: QueryKind, text: string][] {
  const sql = isGroup(raw['sql']) ? raw['sql'] : {};
  const verify = isGroup(sql['verify']) ? sql['verify'] : {};
  const found: [string, QueryKind, unknown][] = [
    ['progress', 'check', sql['progress']],
    ['forward', 'batch', sql['forward']],
    ['reverse', 'batch', sql['reverse']],
    ['verify.forward', 'check', verify['forward']],
    ['verify.reverse', 'check', verify['reverse']],
  ];
  return found.flatMap(([name, kind, text]) =>
    typeof text === 'string' && text.trim() !== '' ? [[name, kind, text.trim()] as const] : [],
  ) as [string, QueryKind, string][];
}

function handlerOf({ sql, activity }: DataDefinition, texts: Map<string, string>): DataHandler | null {
  const keep = (text: string) => {
    const sha256 = hashScript(text);
    texts.set(sha256, text);
    return sha256;
  };
  const kept = (text: string | undefined) => (text === undefined ? null : keep(text));
  if (sql !== undefined) {
    return {
      kind: 'sql',
      progress: keep(sql.progress),
      forward: keep(sql.forward),
      reverse: kept(sql.reverse),
      verifyForward: kept(sql.verify?.forward),
      verifyReverse: kept(sql.verify?.reverse),
    };
  }
  if (activity === undefined) return null;
  const { taskQueue, type, exactlyOnce = false, callTimeoutSeconds, heartbeatSeconds, maximumAttempts } = activity;
  return {
    kind: 'activity',
    taskQueue,
    type,
    exactlyOnce,
    ...(callTimeoutSeconds === undefined ? {} : { callTimeoutSeconds }),
    ...(heartbeatSeconds === undefined ? {} : { heartbeatSeconds }),
    ...(maximumAttempts === undefined ? {} : { maximumAttempts }),
  };
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
