import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startOwnedProcess, type OwnedProcess } from '../../../src/process/owned-process.js';
import { openTestEngine, type TestEngine } from '../../support/engine.js';
import { repository } from '../../support/shared.js';
import type { CaseContext } from './context.js';
import { configOf } from './product.js';

/** What serves the task queue of one case. */
export interface Workers {
  /** One worker, ready to take work. */
  start(): Promise<void>;
  /** As a deployment does: what runs is cancelled and rolled back. */
  stop(): Promise<void>;
  /** As a failing machine does. In this process: the same as `stop`. */
  kill(): Promise<void>;
  /** As a machine that swaps, or whose network hangs: nothing of it happens until the answer is called. */
  freeze(): Promise<() => void>;
  /** The last lines of its log. */
  tail(): string;
  close(): Promise<void>;
}

export function insideWorkers({ config, folder, env, taskQueue }: CaseContext): Workers {
  let engine: TestEngine | null = null;
  let log = '';
  const stop = async () => {
    const ending = engine;
    engine = null;
    if (ending === null) return;
    await ending.close();
    log += ending.logged();
  };
  return {
    async start() {
      engine ??= await openTestEngine({ config, folder, env, worker: { taskQueue } });
    },
    stop,
    kill: stop,
    freeze: () => Promise.resolve(() => undefined),
    tail: () => (log + (engine?.logged() ?? '')).split('\n').slice(-60).join('\n'),
    close: stop,
  };
}

const COMPILED = path.join(repository, 'dist', 'cli.js');
const READY_WITHIN_MS = 90_000;

let built: Promise<unknown> | null = null;

/** Worker processes run what is compiled: once in each process, and nothing is done when it is current. */
export function buildOnce(): Promise<unknown> {
  built ??= promisify(execFile)(process.execPath, [path.join(repository, 'scripts', 'build.mjs')]);
  return built;
}

/** `pg-unwind worker`, the real thing: the newest of them is killed or frozen. */
export function processWorkers(context: CaseContext): Workers {
  const { folder, env, taskQueue, temporal, test } = context;
  const file = path.join(folder, 'pg-unwind.yaml');
  writeFileSync(file, configOf(test, { address: temporal.address, namespace: temporal.namespace, taskQueue }));
  const workers: OwnedProcess[] = [];
  const lines: string[] = [];
  const newest = () => workers.findLast((each) => each.end() === null);
  const stop = async () => {
    for (const each of workers) each.signal('SIGCONT');
    await Promise.all(workers.map((each) => each.stop()));
  };
  return {
    async start() {
      await buildOnce();
      let isReady: () => void = () => undefined;
      const ready = new Promise<string>((resolve) => (isReady = () => resolve('ready')));
      const child = startOwnedProcess({
        command: process.execPath,
        args: ['--enable-source-maps', COMPILED, 'worker', '--config', file, '--log', 'json'],
        env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
        stopWith: [
          ['TERM', 30],
          ['KILL', 5],
        ],
        log: (line) => {
          lines.push(`${child.pid} ${line}`);
          if (line.includes('worker ready')) isReady();
        },
      });
      workers.push(child);
      const late = pause(READY_WITHIN_MS, 'late', { ref: false });
      const how = await Promise.race([ready, child.ended, late]);
      if (how !== 'ready') throw new Error(`the worker process did not start (${how}): ${lines.slice(-8).join(' | ')}`);
    },
    stop,
    async kill() {
      const victim = newest();
      victim?.signal('SIGKILL');
      await victim?.ended;
    },
    freeze() {
      const victim = newest();
      victim?.signal('SIGSTOP');
      return Promise.resolve(() => victim?.signal('SIGCONT'));
    },
    tail: () => lines.slice(-80).join('\n'),
    close: stop,
  };
}
