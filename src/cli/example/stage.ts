import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { loadConfig } from '../../config/load.js';
import { createEngine, type Engine } from '../../instance/engine.js';
import { connect } from '../../temporal/connection.js';
import { createRuns, type Runs } from '../runs.js';
import type { Terminal } from '../terminal.js';
import type { Application } from './application.js';
import { startChildWorker } from './child-worker.js';
import type { Child } from './child.js';
import type { Shop } from './shop.js';
import type { Stops } from './stops.js';

export interface StoryDeps {
  /** Everything that is written goes here. */
  readonly folder: string;
  /** Whatever is started is put here; the caller stops it. */
  readonly stops: Stops;
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

export interface Stage {
  readonly deps: StoryDeps;
  readonly shop: Shop;
  readonly application: Application;
  readonly runs: Runs;
  readonly engine: Engine;
  readonly voice: Voice;
  startWorker(): Promise<Child>;
}

export const INSTANCE = 'shop-demo';

export async function setStage(deps: StoryDeps, shop: Shop, application: Application, voice: Voice): Promise<Stage> {
  const env = ownEnv(deps.env);
  const config = loadConfig(shop.configFile, { env });
  const { client, namespace, close } = await connect(config.temporal, { env });
  deps.stops.push(close);
  const engine = createEngine({ config, log: pino({ level: 'silent' }) });
  deps.stops.push(() => engine.close());
  const runs = createRuns({ client, namespace, taskQueue: config.temporal.taskQueue });
  let workers = 0;
  return {
    deps,
    shop,
    application,
    runs,
    engine,
    voice,
    async startWorker() {
      const logFile = path.join(deps.folder, `worker-${(workers += 1)}.log`);
      const worker = startChildWorker(shop.configFile, env, (line) => appendFileSync(logFile, `${line}\n`));
      deps.stops.push(() => worker.process.stop());
      await worker.ready;
      return worker;
    },
  };
}

/** No variable of the user's own Temporal may lead away from the server that was just started. */
export function ownEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}

/** How the story is told; what others say meanwhile is kept back where a display is being redrawn. */
export interface Voice {
  /** The next scene, with the time since the beginning. */
  say(text: string): void;
  /** A line of the scene. */
  tell(text: string): void;
  /** From somebody else, at any moment. */
  overhear(text: string): void;
  /** While a run is followed: what was overheard goes to `note`, which keeps it above the display. */
  flush(note: (line: string) => void): void;
  follow(isFollowing: boolean): void;
}

export function createVoice(terminal: Terminal, sinceBegan: () => string): Voice {
  const INDENT = '         ';
  const heard: string[] = [];
  let following = false;
  const flush = (note: (line: string) => void) => heard.splice(0).forEach((line) => note(`${INDENT}${line}`));
  return {
    say: (text) => terminal.out(`${terminal.colors.dim(`[${sinceBegan().padStart(6)}]`)} ${text}`),
    tell: (text) => terminal.out(`${INDENT}${text}`),
    overhear(text) {
      heard.push(text);
      if (!following) flush(terminal.out);
    },
    flush,
    follow(isFollowing) {
      following = isFollowing;
      if (!following) flush(terminal.out);
    },
  };
}
