import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LineCounter, parseDocument, isNode, type Document } from 'yaml';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { HookConfig, HooksConfig } from './hooks.js';
import { problemsOf, type ConfigProblem } from './problems.js';
import type { ConnectionReference } from './reference.js';
import { configSchema, type Config, type ConfigContent } from './schema.js';

export interface LoadConfigOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

const DEFAULT_FILE = 'pg-unwind.yaml';

/**
 * Reads the configuration: the file given, else PG_UNWIND_CONFIG, else ./pg-unwind.yaml. Resolves no secret.
 * @throws {UnwindError} InvalidConfig, naming every problem at once with line and path; `details.problems` lists them.
 */
export function loadConfig(given?: string, options: LoadConfigOptions = {}): Config {
  const cwd = options.cwd ?? process.cwd();
  const file = path.resolve(cwd, given ?? ((options.env ?? process.env)['PG_UNWIND_CONFIG'] || DEFAULT_FILE));
  const shown = path.relative(cwd, file).startsWith('..') ? file : path.relative(cwd, file);
  return parseConfig(read(file, shown, given), file, shown);
}

/** `loadConfig` for a text at hand. `file` is what relative paths are resolved against. */
export function parseConfig(text: string, file: string, shown = path.basename(file)): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    throw invalid(
      shown,
      document.errors.map(({ message, pos }) => ({
        path: '',
        line: lines.linePos(pos[0]).line,
        message: `is not YAML: ${message}`,
      })),
    );
  }
  const raw: unknown = document.toJS() ?? {};
  const parsed = configSchema.safeParse(raw);
  const problems = problemsOf(raw, parsed.error?.issues ?? [], configSchema).map(({ at, message }) => ({
    path: at.map(String).join('.'),
    line: lineOf(document, lines, at),
    message,
  }));
  if (!parsed.success || problems.length > 0) throw invalid(shown, problems);
  return { ...resolvePaths(parsed.data, path.dirname(file)), file };
}

function read(file: string, shown: string, given: string | undefined): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UnwindError(
      FailureType.InvalidConfig,
      `The configuration ${shown} cannot be read (${code === 'ENOENT' ? 'there is no such file' : code}). Nothing was done. ` +
        (given === undefined
          ? 'Name it with --config or PG_UNWIND_CONFIG, or work in the folder that holds pg-unwind.yaml.'
          : 'Name another one with --config.'),
      { details: { file }, cause },
    );
  }
}

function invalid(shown: string, problems: readonly ConfigProblem[]): UnwindError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  const listed = problems.map(
    ({ line, path: at, message }) =>
      `  ${shown}${line === null ? '' : `:${line}`}  ${at === '' ? '' : `${at}: `}${message}`,
  );
  return new UnwindError(
    FailureType.InvalidConfig,
    `The configuration ${shown} has ${count}. Nothing was done.\n${listed.join('\n')}`,
    { details: { file: shown, problems } },
  );
}

/** The line of the value, or of the nearest thing around it that is there. */
function lineOf(document: Document, lines: LineCounter, at: readonly PropertyKey[]): number | null {
  for (let length = at.length; length > 0; length -= 1) {
    const pair = pairAt(document, at.slice(0, length));
    if (pair !== null) return lines.linePos(pair).line;
  }
  return null;
}

/** Where the key stands rather than its value: a block's value begins on the next line. */
function pairAt(document: Document, at: readonly PropertyKey[]): number | null {
  const parent: unknown = at.length === 1 ? document.contents : document.getIn(at.slice(0, -1), true);
  const items = (parent as { items?: { key?: unknown; value?: unknown }[] } | null)?.items;
  if (items === undefined) return null;
  for (const { key, value } of items) {
    if (isNode(key) && String((key as { value?: unknown }).value) === String(at.at(-1))) {
      return key.range?.[0] ?? (isNode(value) ? (value.range?.[0] ?? null) : null);
    }
  }
  return null;
}

function resolvePaths(content: ConfigContent, folder: string): ConfigContent {
  const inFolder = (reference: ConnectionReference): ConnectionReference =>
    reference.kind === 'file' ? { kind: 'file', path: path.resolve(folder, reference.path) } : reference;
  const hookIn = ({ webhook, ...hook }: HookConfig): HookConfig => {
    if (webhook === undefined) return hook;
    const { url, secret } = webhook;
    return { ...hook, webhook: { url: inFolder(url), ...(secret === undefined ? {} : { secret: inFolder(secret) }) } };
  };
  const hooksIn = (hooks: HooksConfig): HooksConfig => mapValues(hooks as Record<string, HookConfig>, hookIn); // as: keys that are left out are not there
  const { encryption } = content.temporal;
  return {
    ...content,
    temporal: {
      ...content.temporal,
      encryption: encryption && { keys: encryption.keys.map(({ id, secret }) => ({ id, secret: inFolder(secret) })) },
    },
    products: mapValues(content.products, (product) => ({
      ...product,
      catalog: path.resolve(folder, product.catalog),
      hooks: hooksIn(product.hooks),
    })),
    instances: mapValues(content.instances, (instance) => ({
      ...instance,
      databases: mapValues(instance.databases, ({ url, privilegedUrl, standbyUrl }) => ({
        url: inFolder(url),
        ...(privilegedUrl ? { privilegedUrl: inFolder(privilegedUrl) } : {}),
        ...(standbyUrl ? { standbyUrl: inFolder(standbyUrl) } : {}),
      })),
      hooks: hooksIn(instance.hooks),
    })),
  };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
