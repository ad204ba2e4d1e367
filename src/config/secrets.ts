import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { ConnectionReference } from './reference.js';

export interface ResolveOptions {
  /** Whose it is, for errors: `acme-eu/frontend`. */
  readonly of?: string;
  /** What it is, for errors: a connection string unless said otherwise. */
  readonly what?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly commandTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A connection string, and what may be said about it. */
export interface ResolvedConnection {
  /** Secret: for the driver only. */
  readonly url: string;
  /** `frontend on db.example:5432 as app`: for logs and errors. */
  readonly label: string;
}

const COMMAND_TIMEOUT_MS = 15_000;

/**
 * Fetches the connection string that a reference points to, anew at each call, so that a rotated password is found. Only URLs are
 * taken: libpq's `key=value` form has quoting rules that node-postgres does not follow.
 * @throws {UnwindError} InvalidConfig: names the reference and what is wrong with it, never the value.
 */
export async function resolveConnection(
  reference: ConnectionReference,
  options: ResolveOptions = {},
): Promise<ResolvedConnection> {
  const value = (await fetchValue(reference, options)).trim();
  const refuse = (why: string) => {
    throw unusable(reference, options, `${why}; it must be a URL such as postgres://user:password@host:5432/database`);
  };
  if (value === '') refuse('is empty');
  if (!URL.canParse(value) || !/^postgres(ql)?:\/\//.test(value)) {
    refuse(/^\s*\w+\s*=/.test(value) ? "holds libpq's key=value form" : 'does not hold a Postgres URL');
  }
  const url = new URL(value);
  const host = url.hostname || url.searchParams.get('host');
  const database = decode(url.pathname.slice(1));
  if (!host) refuse('names no host');
  if (database === '') refuse('names no database');
  const port = url.port || url.searchParams.get('port') || '5432';
  const user = decode(url.username) || url.searchParams.get('user');
  return { url: value, label: `${database} on ${host}:${port}${user ? ` as ${user}` : ''}` };
}

/**
 * Fetches any other text that a reference points to, anew at each call; without the line's end of a file or of a program's output.
 * @throws {UnwindError} InvalidConfig: names the reference and what is wrong with it, never the value.
 */
export async function resolveText(reference: ConnectionReference, options: ResolveOptions = {}): Promise<string> {
  const value = (await fetchValue(reference, options)).trim();
  if (value === '') throw unusable(reference, options, 'is empty');
  return value;
}

/** `the environment variable ACME_URL`: says where a secret is, and nothing of it. */
export function describeReference(reference: ConnectionReference): string {
  switch (reference.kind) {
    case 'env':
      return `the environment variable ${reference.name}`;
    case 'file':
      return `the file ${reference.path}`;
    case 'command':
      return `the command "${reference.argv[0]}"`; // its arguments may hold more than a name
    case 'url':
      return 'the URL in the configuration';
    default:
      return reference satisfies never;
  }
}

const REDACTED = '***';

/**
 * Takes passwords out of a text: those of every URL and `password=` in it, and those of the `known` connection strings wherever they
 * stand. For what other programs say (a driver's error, a child's output).
 */
export function redact(text: string, known: Iterable<string> = []): string {
  let clean = text;
  for (const url of known) {
    for (const secret of secretsIn(url)) clean = clean.replaceAll(secret, REDACTED);
  }
  return clean
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):[^\s/]*@/gi, `$1:${REDACTED}@`)
    .replace(/\b((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'"]+)/gi, `$1${REDACTED}`);
}

function secretsIn(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { password, searchParams } = new URL(url);
  const encoded = [password, searchParams.get('password') ?? '', searchParams.get('sslpassword') ?? ''];
  // a password of one or two characters would take the text apart; its URL is caught by the pattern
  return [...new Set(encoded.flatMap((secret) => [secret, decode(secret)]))].filter((secret) => secret.length > 2);
}

async function fetchValue(reference: ConnectionReference, options: ResolveOptions): Promise<string> {
  switch (reference.kind) {
    case 'url':
      return reference.url;
    case 'env': {
      const value = (options.env ?? process.env)[reference.name];
      if (value === undefined) throw unusable(reference, options, 'is not set in this process');
      return value;
    }
    case 'file':
      return readFile(reference.path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        throw unusable(
          reference,
          options,
          error.code === 'ENOENT' ? 'does not exist' : `cannot be read (${error.code})`,
        );
      });
    case 'command':
      return runCommand(reference, options);
    default:
      return reference satisfies never;
  }
}

async function runCommand(
  reference: ConnectionReference & { kind: 'command' },
  options: ResolveOptions,
): Promise<string> {
  const [program, ...args] = reference.argv;
  const timeout = options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      timeout,
      env: options.env ?? process.env,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    return stdout;
  } catch (error) {
    options.signal?.throwIfAborted();
    // Neither its output nor Node's message, which repeats the arguments; so no `cause` either.
    const { code, killed } = error as { code?: unknown; killed?: boolean };
    const why = killed
      ? `gave no answer within ${timeout} ms`
      : code === 'ENOENT'
        ? 'was not found'
        : `failed (exit code ${String(code)})`;
    throw unusable(reference, options, why);
  }
}

function unusable(
  reference: ConnectionReference,
  { of, what = 'connection string' }: ResolveOptions,
  why: string,
): UnwindError {
  const whose = `The ${what}${of === undefined ? '' : ` of ${of}`}`;
  return new UnwindError(
    FailureType.InvalidConfig,
    `${whose} cannot be had: ${describeReference(reference)} ${why}. Nothing was done. Set it where this worker runs, then try again.`,
    { details: { reference: reference.kind, ...(of === undefined ? {} : { of }) } },
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
