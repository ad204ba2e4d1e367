import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { openTestEngine, type TestEngine } from '../../support/engine.js';
import { repository } from '../../support/shared.js';
import { startWorkerProcess, type WorkerProcess } from '../worker-process.js';
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

let built: Promise<unknown> | null = null;

/** Worker processes run what is compiled: once in each process, and nothing is done when it is current. */
function buildOnce(): Promise<unknown> {
  built ??= promisify(execFile)(process.execPath, [path.join(repository, 'scripts', 'build.mjs')]);
  return built;
}

/** `pg-unwind worker`, the real thing: the newest of them is killed or frozen. */
export function processWorkers({ folder, env, taskQueue, temporal, test, temporalAddress }: CaseContext): Workers {
  const config = path.join(folder, 'pg-unwind.yaml');
  writeFileSync(config, configOf(test, { address: temporalAddress, namespace: temporal.namespace, taskQueue }));
  const living: WorkerProcess[] = [];
  const ended: WorkerProcess[] = [];
  const stop = async () => {
    ended.push(...living);
    await Promise.all(living.splice(0).map((worker) => worker.stop()));
  };
  return {
    async start() {
      await buildOnce();
      living.push(await startWorkerProcess({ name: `of ${taskQueue}`, config, env }));
    },
    stop,
    async kill() {
      const victim = living.pop();
      if (victim === undefined) return;
      ended.push(victim);
      await victim.kill();
    },
    freeze() {
      const victim = living.at(-1);
      victim?.freeze();
      return Promise.resolve(() => victim?.thaw());
    },
    tail: () =>
      [...ended, ...living]
        .flatMap((worker) =>
          worker
            .log()
            .slice(-60)
            .map((line) => `${worker.pid} ${line}`),
        )
        .slice(-120)
        .join('\n'),
    close: stop,
  };
}
