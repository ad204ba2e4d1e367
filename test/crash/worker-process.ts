import path from 'node:path';
import { startOwnedProcess } from '../../src/process/owned-process.js';
import { repository } from '../support/shared.js';
import { until } from '../support/until.js';

/** `pg-unwind worker` as users run it: a process of its own, that can be killed, frozen and thawed. */
export interface WorkerProcess {
  readonly name: string;
  readonly pid: number;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when it has stopped in good order. */
  terminate(): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** However it stands: thawed, asked, killed if it must be. Safe to call twice. */
  stop(): Promise<void>;
  /** What it has logged, line by line. */
  log(): readonly string[];
}

export interface WorkerProcessOptions {
  readonly name: string;
  readonly config: string;
  /** What the configuration's `{ env: … }` references find. */
  readonly env: Readonly<Record<string, string>>;
}

const READY_WITHIN_MS = 60_000;

/** Resolves when the worker polls. The program must have been built. */
export async function startWorkerProcess({ name, config, env }: WorkerProcessOptions): Promise<WorkerProcess> {
  const lines: string[] = [];
  const child = startOwnedProcess({
    command: process.execPath,
    args: [
      '--enable-source-maps',
      path.join(repository, 'dist', 'cli.js'),
      'worker',
      '--config',
      config,
      '--log',
      'json',
    ],
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', NO_COLOR: '1', ...env },
    cwd: repository,
    stopWith: [
      ['TERM', 20],
      ['KILL', 5],
    ],
    log: (line) => void lines.push(line),
  });
  await until(
    () => {
      if (child.end() !== null) throw new Error(`it ended: ${child.end() ?? ''}`);
      return lines.some((line) => line.includes('worker ready'));
    },
    { within: READY_WITHIN_MS, every: 20, describe: `the worker "${name}" to be ready`, show: () => lines.slice(-8) },
  ).catch(async (error: unknown) => {
    await child.stop();
    throw error;
  });
  return {
    name,
    pid: child.pid,
    async kill() {
      child.signal('SIGKILL');
      await child.ended;
    },
    async terminate() {
      child.signal('SIGTERM');
      await child.ended;
    },
    freeze: () => child.signal('SIGSTOP'),
    thaw: () => child.signal('SIGCONT'),
    async stop() {
      child.signal('SIGCONT');
      await child.stop();
    },
    log: () => lines,
  };
}
