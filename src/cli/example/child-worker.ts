import { fileURLToPath } from 'node:url';
import { startChild, type Child } from './child.js';

const CLI = fileURLToPath(new URL('../../cli.js', import.meta.url));

/** `pg-unwind worker`; it is ready when it polls. */
export function startChildWorker(configFile: string, env: NodeJS.ProcessEnv, log: (line: string) => void): Child {
  const args = ['worker', '--config', configFile];
  return startChild({ what: 'The worker', file: CLI, args, env, readyLine: /worker ready/, log });
}
