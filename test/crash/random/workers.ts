import type { CaseContext } from './context.js';
import { openTestEngine, type TestEngine } from '../../support/engine.js';

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
