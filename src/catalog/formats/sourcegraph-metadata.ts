import { parseDocument } from 'yaml';

import type { MigrationId } from '../../contract/catalog.js';

/** `metadata.yaml`. Unknown keys are ignored, absent ones have Sourcegraph's defaults. */
export interface Metadata {
  readonly name: string | null;
  /** Of `parents` and of the older `parent`, ascending, each once. */
  readonly parents: readonly MigrationId[];
  readonly privileged: boolean;
  readonly nonIdempotent: boolean;
  readonly createIndexConcurrently: boolean;
  readonly terminateBlockers: boolean;
}

export type MetadataReading =
  { readonly kind: 'read'; readonly metadata: Metadata } | { readonly kind: 'bad'; readonly why: string };

export function readMetadata(text: string): MetadataReading {
  const document = parseDocument(text, { intAsBigInt: true, logLevel: 'silent' });
  const [error] = document.errors;
  if (error !== undefined) return bad(`it is not YAML: ${error.message.split('\n')[0] ?? error.code}`);
  const value: unknown = document.toJS() ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad('it is not a map of keys');
  const keys = value as Readonly<Record<string, unknown>>;

  const list = keys['parents'] ?? [];
  if (!Array.isArray(list) || !list.every(isId)) return bad('"parents" must be a list of integers');
  const single = keys['parent'] ?? 0n;
  if (!isId(single)) return bad('"parent" must be an integer');
  const flags: Record<string, boolean> = {};
  for (const key of ['privileged', 'nonIdempotent', 'createIndexConcurrently', TERMINATE] as const) {
    const flag = keys[key] ?? false;
    if (typeof flag !== 'boolean') return bad(`"${key}" must be true or false`);
    flags[key] = flag;
  }
  const name = keys['name'];
  const named = typeof name === 'string' || typeof name === 'bigint' || typeof name === 'number';
  if (!named && name !== undefined && name !== null) return bad('"name" must be a text');
  const parents = [...new Set<bigint>([...list, ...(single === 0n ? [] : [single])])];
  parents.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return {
    kind: 'read',
    metadata: {
      name: named ? String(name) : null,
      parents: parents.map(String),
      privileged: flags['privileged'] === true,
      nonIdempotent: flags['nonIdempotent'] === true,
      createIndexConcurrently: flags['createIndexConcurrently'] === true,
      terminateBlockers: flags[TERMINATE] === true,
    },
  };
}

const TERMINATE = 'bestEffortTerminateBlockingTransactions';

function isId(value: unknown): value is bigint {
  return typeof value === 'bigint';
}

function bad(why: string): MetadataReading {
  return { kind: 'bad', why };
}
