import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Everything printed so far, on both streams. */
  printed(): string;
}

/** The words after `npm run -s`, as the README has them; npm, the build and the command are all real. */
export function npmRun(words: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  return start('npm', ['run', '-s', ...words], env);
}

/** What `npm run -s pg-unwind -- …` runs, without npm's own second at each of many commands. */
export function pgUnwind(words: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  return start(process.execPath, ['scripts/run.mjs', 'cli.js', ...words], env);
}

/** The same in another folder than that of the clone. */
export function pgUnwindIn(folder: string, words: readonly string[]): Running {
  return start(
    process.execPath,
    [`${REPOSITORY}scripts/run.mjs`, 'cli.js', ...words],
    { INIT_CWD: folder },
    'ignore',
    folder,
  );
}

/** The same on a pseudo-terminal of 80 columns and 24 rows; what is typed goes to `process.stdin`. */
export function pgUnwindOnTerminal(words: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const line = ['stty rows 24 cols 80;', 'exec', process.execPath, 'scripts/run.mjs', 'cli.js', ...words].join(' ');
  const onTerminal = { CI: '', TERM: 'xterm', ...env };
  return start('script', ['--quiet', '--return', '--command', line, '/dev/null'], onTerminal, 'pipe');
}

function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: 'ignore' | 'pipe' = 'ignore',
  cwd = REPOSITORY,
): Running {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, CI: '1', ...env },
    stdio: [input, 'pipe', 'pipe'],
    detached: true, // a group of its own: what is left of it can be ended as one
  });
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
  return { process: child, ended, printed: () => out + err };
}

/** A polite end for the whole group; npm passes the signal on as well, which must do no harm. */
export async function stop(running: Running): Promise<Ended> {
  const { pid, exitCode, signalCode } = running.process;
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGTERM');
  return running.ended;
}
