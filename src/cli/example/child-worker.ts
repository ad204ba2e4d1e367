import { fileURLToPath } from 'node:url';
import { startOwnedProcess, type OwnedProcess } from '../../process/owned-process.js';
import { CliFailure, CommandError } from '../failure.js';

/** `pg-unwind worker` as a process of its own: it can be killed without harm to the one that tells the story. */
export interface ChildWorker {
  readonly pid: number;
  readonly process: OwnedProcess;
  /** Resolves when it polls. @throws CommandError when it ended instead; with its last lines. */
  readonly ready: Promise<void>;
}

const READY = /worker ready/;
const READY_WITHIN_MS = 60_000;

export function startChildWorker(configFile: string, env: NodeJS.ProcessEnv, log: (line: string) => void): ChildWorker {
  let isReady: () => void = () => undefined;
  const readyLine = new Promise<void>((resolve) => (isReady = resolve));
  const child = startOwnedProcess({
    command: process.execPath,
    args: [
      '--enable-source-maps',
      fileURLToPath(new URL('../../cli.js', import.meta.url)),
      'worker',
      '--config',
      configFile,
    ],
    env,
    cwd: process.cwd(),
    stopWith: [
      ['TERM', 20],
      ['KILL', 5],
    ],
    log: (line) => {
      log(line);
      if (READY.test(line)) isReady();
    },
  });
  return { pid: child.pid, process: child, ready: untilReady(child, readyLine) };
}

async function untilReady(child: OwnedProcess, readyLine: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`it was not ready after ${READY_WITHIN_MS / 1000} s`), READY_WITHIN_MS);
  });
  const failure = await Promise.race([readyLine, child.ended.then((how) => `it ended: ${how}`), late]);
  clearTimeout(timer);
  if (failure === undefined) return;
  throw new CommandError(
    CliFailure.Unexpected,
    `The worker did not start (${failure}). Its last lines: ${child.lastLines().slice(-8).join(' | ') || 'none'}`,
  );
}
