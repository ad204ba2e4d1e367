import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { chmod, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import envPaths from 'env-paths';
import { FailureType, UnwindError } from '../contract/errors.js';

/** The newest release that `go install` accepts: later tags carry a `replace`, which it refuses. Server 1.29.1, Web UI 2.42.1. */
export const TEMPORAL_CLI_VERSION = 'v1.5.1';

const GO_PACKAGE = `github.com/temporalio/cli/cmd/temporal@${TEMPORAL_CLI_VERSION}`;
const DOWNLOAD_SERVICE = 'https://temporal.download/cli';
const ANSWER_WITHIN_MS = 4_000; // a machine without the internet must not make anyone wait
const ARCHIVE_WITHIN_MS = 180_000; // 60 MB on a slow line
const BUILD_WITHIN_MS = 20 * 60_000; // measured: 2.5 minutes cold on two cores

/** Set for every program that is run as the Temporal CLI: a script of that name may call `pg-unwind temporal`, which would look for it again. */
const WITHIN = 'PG_UNWIND_WITHIN_TEMPORAL';

/** The environment for the program that was found. */
export function forTemporal(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, [WITHIN]: '1' };
}

export interface FindTemporalOptions {
  /** From the configuration; PG_UNWIND_TEMPORAL goes before it. */
  readonly setting?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly cacheFolder?: string;
  /** One line for each place where it was not found, and one when something long begins. */
  readonly say?: (line: string) => void;
  /** The service that the SDK downloads from; null leaves this step out. */
  readonly downloadService?: string | null;
  /** False leaves `go install` out. */
  readonly build?: boolean;
  readonly signal?: AbortSignal;
}

export interface FoundTemporal {
  readonly path: string;
  readonly how: 'setting' | 'PATH' | 'cache' | 'downloaded' | 'built';
}

interface Search {
  readonly env: NodeJS.ProcessEnv;
  /** `<cache>/temporal-v1.5.1` */
  readonly folder: string;
  readonly say: (line: string) => void;
  readonly options: FindTemporalOptions;
}

type Miss = { readonly miss: string };

/**
 * Finds the `temporal` command: the setting, PATH, the user's cache folder, a download, `go install`; the last two leave it in the cache folder.
 * @throws {UnwindError} InvalidConfig: it is nowhere and cannot be fetched; says what to install. Or it is a script that calls us.
 */
export async function findTemporal(options: FindTemporalOptions = {}): Promise<FoundTemporal> {
  const cache = options.cacheFolder ?? envPaths('pg-unwind', { suffix: '' }).cache;
  const search: Search = {
    env: options.env ?? process.env,
    folder: path.join(cache, `temporal-${TEMPORAL_CLI_VERSION}`),
    say: options.say ?? (() => undefined),
    options,
  };
  if (search.env[WITHIN]) {
    throw new UnwindError(
      FailureType.InvalidConfig,
      'The command "temporal" that was found is a script that calls "pg-unwind temporal" again, which would go round in a circle. Nothing was ' +
        'started. Set PG_UNWIND_TEMPORAL to the binary of the Temporal CLI, or remove the script and type "pg-unwind temporal".',
    );
  }
  const misses: string[] = [];
  for (const look of [fromSetting, fromPath, fromCache, fromDownload, fromGo]) {
    const found = await look(search);
    if (found === null) continue;
    if ('path' in found) return found;
    options.signal?.throwIfAborted();
    misses.push(found.miss);
    search.say(`temporal: ${found.miss}`);
  }
  throw new UnwindError(
    FailureType.InvalidConfig,
    `The command "temporal" (the Temporal CLI, which holds the development server) was not found: ${misses.join('; ')}. Nothing was started. ` +
      `Install the Temporal CLI ${TEMPORAL_CLI_VERSION} or later so that "temporal" is on PATH, or install Go 1.25 or later and run this again ` +
      `(it runs "go install ${GO_PACKAGE}"), or set PG_UNWIND_TEMPORAL to the binary.`,
    { details: { misses } },
  );
}

async function fromSetting({ env, options }: Search): Promise<FoundTemporal | Miss | null> {
  const [name, setting] = env['PG_UNWIND_TEMPORAL']
    ? ['PG_UNWIND_TEMPORAL', env['PG_UNWIND_TEMPORAL']]
    : ['the setting', options.setting];
  if (!setting) return null;
  const file = path.resolve(setting);
  return isProgram(file) ? { path: file, how: 'setting' } : { miss: `${name} names ${file}, which is not a program` };
}

async function fromPath({ env }: Search): Promise<FoundTemporal | Miss> {
  const asking = { timeout: 10_000, env: forTemporal(env) };
  for (const folder of (env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.resolve(folder, 'temporal');
    if (folder === '' || !isProgram(file)) continue;
    const said = await promisify(execFile)(file, ['--version'], asking).catch(() => null);
    if (said?.stdout.startsWith('temporal version')) return { path: file, how: 'PATH' };
    return { miss: `${file} on PATH is not the Temporal CLI` };
  }
  return { miss: 'not on PATH' };
}

async function fromCache({ folder }: Search): Promise<FoundTemporal | Miss> {
  const file = path.join(folder, 'temporal');
  return isProgram(file) ? { path: file, how: 'cache' } : { miss: `not in ${folder}` };
}

async function fromDownload({ folder, say, options }: Search): Promise<FoundTemporal | Miss | null> {
  const service = options.downloadService === undefined ? DOWNLOAD_SERVICE : options.downloadService;
  if (service === null) return null;
  const platform = process.platform;
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  if (!arch || (platform !== 'linux' && platform !== 'darwin'))
    return { miss: `no download for ${platform} on ${process.arch}` };

  try {
    const query = new URLSearchParams({
      arch,
      platform,
      format: 'tar.gz',
      'sdk-name': 'pg-unwind',
      'sdk-version': '0',
    });
    const answer = await get(
      `${service}/${TEMPORAL_CLI_VERSION}?${query.toString()}`,
      ANSWER_WITHIN_MS,
      options.signal,
    );
    const { archiveUrl, fileToExtract } = (await answer.json()) as { archiveUrl: string; fileToExtract: string };
    say(`temporal: downloading ${TEMPORAL_CLI_VERSION} …`);
    const archive = await get(archiveUrl, ARCHIVE_WITHIN_MS, options.signal);
    const file = await keep(folder, async (scratch) => {
      const packed = path.join(scratch, 'archive.tar.gz');
      await writeFile(packed, Buffer.from(await archive.arrayBuffer()));
      await promisify(execFile)('tar', ['-xzf', packed, '-C', scratch, fileToExtract]);
      await rm(packed);
      if (fileToExtract !== 'temporal') await rename(path.join(scratch, fileToExtract), path.join(scratch, 'temporal'));
    });
    return { path: file, how: 'downloaded' };
  } catch (error) {
    return { miss: `not downloaded (${reasonOf(error)})` };
  }
}

async function fromGo({ folder, env, say, options }: Search): Promise<FoundTemporal | Miss | null> {
  if (options.build === false) return null;
  const run = { env, timeout: BUILD_WITHIN_MS, ...(options.signal ? { signal: options.signal } : {}) };
  const version = await promisify(execFile)('go', ['version'], run).catch(() => null);
  if (version === null) return { miss: 'not built (there is no "go")' };
  say(`temporal: building ${TEMPORAL_CLI_VERSION} with "go install"; about three minutes, this once …`);
  try {
    const file = await keep(folder, async (scratch) => {
      await promisify(execFile)('go', ['install', '-ldflags=-s -w', GO_PACKAGE], {
        ...run,
        cwd: scratch,
        env: { ...env, GOBIN: scratch, CGO_ENABLED: '0' },
        maxBuffer: 64 * 1024 * 1024,
      });
    });
    return { path: file, how: 'built' };
  } catch (error) {
    const stderr = String((error as { stderr?: string }).stderr ?? '').trim();
    return { miss: `not built ("go install" failed: ${stderr.split('\n').slice(-2).join(' ') || reasonOf(error)})` };
  }
}

/** Fills a folder beside the final one and renames it, so that no half-made binary is ever found, by us or by another process. */
async function keep(folder: string, fill: (scratch: string) => Promise<void>): Promise<string> {
  mkdirSync(path.dirname(folder), { recursive: true });
  const scratch = mkdtempSync(`${folder}.`);
  const file = path.join(folder, 'temporal');
  try {
    await fill(scratch);
    await chmod(path.join(scratch, 'temporal'), 0o755);
    await chmod(scratch, 0o755);
    await rename(scratch, folder).catch(async (error: unknown) => {
      if (!existsSync(folder)) throw error;
      // someone else was first, or left a folder without a usable binary
      await rename(path.join(scratch, 'temporal'), file);
    });
    return file;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function get(url: string, withinMs: number, signal: AbortSignal | undefined): Promise<Response> {
  const deadline = AbortSignal.timeout(withinMs);
  const response = await fetch(url, { signal: signal ? AbortSignal.any([deadline, signal]) : deadline });
  if (!response.ok) throw new Error(`${new URL(url).host} answered ${response.status}`);
  return response;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  const cause = error.cause as { code?: string; message?: string } | undefined;
  return cause?.code ?? cause?.message ?? error.message;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
