import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

import type { Catalog } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { hashScript } from '../postgres/script.js';

const CATALOG_FILE = 'catalog.json';
const SCRIPTS = 'scripts';
const CATALOG_FORMAT = 1;

export interface OpenCatalog {
  readonly catalog: Catalog;
  /** Hex sha-256 of `catalog.json`: which catalog a plan was made from. */
  readonly hash: string;
  /** @throws {UnwindError} InvalidCatalog: the file is missing, or is not the text that the catalog names. */
  readScript(sha256: string): Promise<string>;
}

/**
 * Writes `catalog.json` and `scripts/<sha256>.sql`. Scripts come first and the catalog is put in place by a rename, so a
 * reader finds the old catalog or the new one, each with all of its scripts; scripts of neither are removed at the end.
 */
export async function writeCatalog(
  directory: string,
  built: { readonly catalog: Catalog; readonly texts: ReadonlyMap<string, string> },
): Promise<{ readonly hash: string }> {
  const scripts = join(directory, SCRIPTS);
  await mkdir(scripts, { recursive: true });
  const present = new Set(await readdir(scripts));
  for (const [sha256, text] of built.texts) {
    const file = scriptFile(sha256);
    if (present.has(file) && hashScript(await readFile(join(scripts, file), 'utf8')) === sha256) continue;
    await replace(join(scripts, file), text);
  }
  const json = catalogJson(built.catalog);
  await replace(join(directory, CATALOG_FILE), json);
  const wanted = new Set([...built.texts.keys()].map(scriptFile));
  for (const file of present) if (!wanted.has(file)) await rm(join(scripts, file), { recursive: true, force: true });
  return { hash: createHash('sha256').update(json).digest('hex') };
}

async function replace(file: string, content: string): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function scriptFile(sha256: string): string {
  return `${sha256}.sql`;
}

/** One migration, label, release, script or data migration a line: small, and two catalogs can be compared with `diff`. */
export function catalogJson(catalog: Catalog): string {
  const lines = (entries: readonly unknown[], indent: string) =>
    entries.length === 0 ? '[]' : `[\n${entries.map((entry) => indent + JSON.stringify(entry)).join(',\n')}\n]`;
  const databases = catalog.databases.map(({ migrations, ...database }) => {
    return `${JSON.stringify(database).slice(0, -1)},"migrations":${lines(migrations, '  ')}}`;
  });
  const scripts = Object.entries(catalog.scripts).sort(([a], [b]) => (a < b ? -1 : 1));
  const { catalogFormat, product, format, dataMigrations } = catalog;
  const data = dataMigrations === undefined ? '' : `,\n"dataMigrations":${lines(dataMigrations, '  ')}`;
  const head = JSON.stringify({ catalogFormat, product, format }).slice(1, -1);
  return `{${head},
"databases":[${databases.join(',\n')}],
"labels":${lines(catalog.labels, '  ')},
"releases":${lines(catalog.releases, '  ')},
"scripts":{
${scripts.map(([sha256, facts]) => `  ${JSON.stringify(sha256)}:${JSON.stringify(facts)}`).join(',\n')}
}${data}}
`;
}

const ranges = z.array(z.tuple([z.number(), z.number()]));
const versions = z.array(z.object({ sha256: z.string(), carriedBy: ranges })).min(1);
const dataHandler = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('sql'),
    progress: z.string(),
    forward: z.string(),
    reverse: z.string().nullable(),
    verifyForward: z.string().nullable(),
    verifyReverse: z.string().nullable(),
  }),
  z.object({
    kind: z.literal('activity'),
    taskQueue: z.string(),
    type: z.string(),
    exactlyOnce: z.boolean(),
    callTimeoutSeconds: z.number().optional(),
    heartbeatSeconds: z.number().optional(),
    maximumAttempts: z.number().optional(),
  }),
]);
const dataMigration = z.object({
  id: z.string(),
  database: z.string(),
  introduced: z.string(),
  deprecated: z.string().nullable(),
  reversal: z.enum(['reversible', 'notNeeded', 'irreversible']),
  handlers: z.array(z.object({ handler: dataHandler, carriedBy: ranges })).min(1),
});
/** Strict where a wrong shape would mislead a plan; facts are looked at when their script is planned. */
const CATALOG = z.object({
  catalogFormat: z.literal(CATALOG_FORMAT),
  product: z.string(),
  format: z.string(),
  databases: z.array(
    z.object({
      name: z.string(),
      idOrder: z.enum(['numeric', 'string']),
      squashRoots: z.array(z.string()),
      migrations: z.array(
        z.object({ id: z.string(), name: z.string(), parents: z.array(z.string()), up: versions, down: versions }),
      ),
    }),
  ),
  labels: z.array(z.object({ label: z.string(), publishedAt: z.string().nullable() })),
  releases: z.array(z.object({ labels: z.array(z.number()).min(1), sets: z.record(z.string(), ranges) })),
  scripts: z.record(z.string(), z.object({ sha256: z.string(), execution: z.string() })),
  dataMigrations: z.array(dataMigration).optional(),
});

/** Another text after each build, for `catalog.json` is put in place by a rename; null: there is none to be read. */
export async function catalogVersion(directory: string): Promise<string | null> {
  const found = await stat(join(directory, CATALOG_FILE)).catch(() => null);
  return found === null ? null : `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}`;
}

/**
 * Opens a compiled catalog; scripts are read when they are asked for.
 * @throws {UnwindError} InvalidCatalog: there is none, it is damaged, or a newer pg-unwind wrote it.
 */
export async function openCatalog(directory: string): Promise<OpenCatalog> {
  const bytes = await readFile(join(directory, CATALOG_FILE)).catch((cause: unknown) => {
    throw new UnwindError(
      FailureType.InvalidCatalog,
      `There is no readable catalog in ${directory} (${CATALOG_FILE}). Make one with "pg-unwind catalog build --out ${directory} …".`,
      { cause },
    );
  });
  const catalog = validate(directory, bytes);
  const hash = createHash('sha256').update(bytes).digest('hex');
  return Object.freeze({ catalog, hash, readScript: (sha256: string) => readScript(directory, sha256) });
}

function validate(directory: string, bytes: Buffer): Catalog {
  const again = 'Build it again with "pg-unwind catalog build".';
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new UnwindError(FailureType.InvalidCatalog, `The catalog in ${directory} is damaged: not JSON. ${again}`, {
      cause,
    });
  }
  const format =
    typeof value === 'object' && value !== null && 'catalogFormat' in value ? value.catalogFormat : undefined;
  if (typeof format === 'number' && format > CATALOG_FORMAT) {
    throw new UnwindError(
      FailureType.InvalidCatalog,
      `The catalog in ${directory} has format ${format}; this pg-unwind reads format ${CATALOG_FORMAT}. ` +
        'Update pg-unwind, or build the catalog with this version.',
    );
  }
  const checked = CATALOG.safeParse(value);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const where = issue?.path.join('.') || 'the whole';
    throw new UnwindError(
      FailureType.InvalidCatalog,
      `The catalog in ${directory} is damaged at ${where}: ${issue?.message ?? 'unknown'}. ${again}`,
    );
  }
  return value as Catalog; // checked above as far as a plan depends on it; the rest is our own writing
}

async function readScript(directory: string, sha256: string): Promise<string> {
  const again = 'Nothing was run. Build the catalog again with "pg-unwind catalog build".';
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    throw new UnwindError(FailureType.InvalidCatalog, `"${sha256}" is not the hash of a script. ${again}`);
  }
  const text = await readFile(join(directory, SCRIPTS, scriptFile(sha256)), 'utf8').catch((cause: unknown) => {
    const message = `The catalog in ${directory} has no script ${sha256}. ${again}`;
    throw new UnwindError(FailureType.InvalidCatalog, message, { cause });
  });
  if (hashScript(text) === sha256) return text;
  const message = `Script ${sha256} of the catalog in ${directory} was changed since it was built. ${again}`;
  throw new UnwindError(FailureType.InvalidCatalog, message);
}
