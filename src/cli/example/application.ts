import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startChild } from './child.js';
import type { Stops } from './stops.js';

const APP = fileURLToPath(new URL('../../../examples/shop/app/', import.meta.url));
const LISTENS = /listens on (\S+)/;

/** The shop's application: the version that its deployer runs, and others that are tried beside it. */
export interface Application {
  /** Where the deployer takes the hooks of a run. */
  readonly hookUrl: string;
  /** Relative to the configuration. */
  readonly secretFile: string;
  /** Where the version that runs can be asked; null: none runs. */
  serving(): Promise<{ readonly release: string | null; readonly url: string | null }>;
  /** The operator's own word to the deployer: the databases are about to move. */
  stop(): Promise<void>;
  /** Starts a version beside the one that runs, for as long as `work` takes. */
  beside<T>(release: string, work: (url: string) => Promise<T>): Promise<T>;
}

export interface ApplicationOptions {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stops: Stops;
  readonly signal: AbortSignal;
  /** What the deployer says of what it does. */
  readonly onLine: (line: string) => void;
}

/** Starts the deployer; it runs nothing yet. It reads the connection strings in `secrets/` when it is asked to deploy. */
export async function startApplication(options: ApplicationOptions): Promise<Application> {
  const { folder, stops, signal, onLine } = options;
  const databases = path.join(folder, 'secrets');
  const secretFile = path.join(databases, 'webhook.secret');
  await mkdir(databases, { recursive: true, mode: 0o700 });
  await writeFile(secretFile, `whsec_${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });

  const start = async (name: string, args: readonly string[], log: (line: string) => void) => {
    const what = `examples/shop/app/${name}`;
    const child = startChild({ what, file: path.join(APP, name), args, env: options.env, readyLine: LISTENS, log });
    stops.push(() => child.process.stop());
    return { process: child.process, url: LISTENS.exec(await child.ready)?.[1] ?? '' };
  };
  let isOver = false;
  const logFile = path.join(folder, 'deployer.log');
  const deployer = await start('deployer.mjs', ['--databases', databases, '--secret-file', secretFile], (line) => {
    appendFileSync(logFile, `${line}\n`);
    if (!LISTENS.test(line) && !isOver) onLine(line);
  });
  stops.push(() => Promise.resolve(void (isOver = true))); // its last words are no part of the story

  return Object.freeze({
    hookUrl: deployer.url,
    secretFile: 'secrets/webhook.secret',
    async serving() {
      const response = await fetch(deployer.url, { signal });
      return (await response.json()) as { release: string | null; url: string | null };
    },
    async stop() {
      const args = [path.join(APP, 'ask.mjs'), deployer.url, '--secret-file', secretFile, 'stop'];
      await promisify(execFile)(process.execPath, args, { signal, env: options.env });
    },
    async beside<T>(release: string, work: (url: string) => Promise<T>): Promise<T> {
      const version = await start('server.mjs', ['--release', release, '--databases', databases], () => undefined);
      try {
        return await work(version.url);
      } finally {
        await version.process.stop();
      }
    },
  });
}
