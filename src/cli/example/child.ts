import { startOwnedProcess, type OwnedProcess } from '../../process/owned-process.js';
import { CliFailure, CommandError } from '../failure.js';

/** A program with a process of its own: it can be ended without harm to the one that tells the story. */
export interface Child {
  readonly pid: number;
  readonly process: OwnedProcess;
  /** The line that says so. @throws CommandError when it ended instead; with its last lines. */
  readonly ready: Promise<string>;
}

export interface ChildOptions {
  /** "The worker", for the message of a failed start. */
  readonly what: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** What it prints when it is ready. */
  readonly readyLine: RegExp;
  readonly log: (line: string) => void;
}

const READY_WITHIN_MS = 60_000;

export function startChild({ what, file, args, env, readyLine, log }: ChildOptions): Child {
  let isReady: (line: string) => void = () => undefined;
  const said = new Promise<string>((resolve) => (isReady = resolve));
  const child = startOwnedProcess({
    command: process.execPath,
    args: ['--enable-source-maps', file, ...args],
    env,
    cwd: process.cwd(),
    stopWith: [
      ['TERM', 20],
      ['KILL', 5],
    ],
    log: (line) => {
      log(line);
      if (readyLine.test(line)) isReady(line);
    },
  });
  return { pid: child.pid, process: child, ready: untilReady(what, child, said) };
}

async function untilReady(what: string, child: OwnedProcess, said: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ failure: string }>((resolve) => {
    const failure = `it was not ready after ${READY_WITHIN_MS / 1000} s`;
    timer = setTimeout(() => resolve({ failure }), READY_WITHIN_MS);
  });
  const ended = child.ended.then((how) => ({ failure: `it ended: ${how}` }));
  const first = await Promise.race([said, ended, late]);
  clearTimeout(timer);
  if (typeof first === 'string') return first;
  throw new CommandError(
    CliFailure.Unexpected,
    `${what} did not start (${first.failure}). Its last lines: ${child.lastLines().slice(-8).join(' | ') || 'none'}`,
  );
}
