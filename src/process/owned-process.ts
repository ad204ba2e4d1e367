import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** The signals that a server is asked with, politest first, and how long each may take. */
export type StopLadder = readonly (readonly [signal: 'INT' | 'TERM' | 'QUIT' | 'KILL', graceSeconds: number])[];

export interface OwnedProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Another user to run as; only root can. */
  readonly runAs?: { readonly uid: number; readonly gid: number };
  readonly stopWith: StopLadder;
  /** Removed when the process outlives its owner and is ended by the watchdog; never removed here otherwise. */
  readonly removeWithOwner?: string;
  readonly log?: (line: string) => void;
}

/** A server that this process started and answers for. */
export interface OwnedProcess {
  readonly pid: number;
  /** Resolves with the end ("exit code 1", "signal SIGQUIT") once its output is closed too; never rejects. */
  readonly ended: Promise<string>;
  /** What ended it, or null while it runs. */
  end(): string | null;
  /** The last lines of its output, for the message of a failed start. */
  lastLines(): readonly string[];
  signal(signal: NodeJS.Signals): void;
  /** Walks down the ladder until it has ended. Safe to call twice. */
  stop(): Promise<void>;
}

const LINES_KEPT = 40;

// The watchdog reads the server's pid, then waits on a pipe whose other end is this process. The kernel closes that end however we
// die, SIGKILL included; only then does the watchdog read end-of-file and walk down the ladder itself. It is a shell, not a
// second Node: 1 MB instead of 40, and no start-up time.
const WATCHDOG = `
read -r pid remove ladder || exit 0
cat > /dev/null
for rung in $ladder; do
  kill -s "\${rung%%:*}" "$pid" 2> /dev/null || break
  tenths=$(( \${rung##*:} * 10 ))
  while [ "$tenths" -gt 0 ] && kill -s 0 "$pid" 2> /dev/null; do sleep 0.1; tenths=$((tenths - 1)); done
done
[ "$remove" = - ] || rm -rf "$remove"
`;

/**
 * Starts a server in a session of its own, so that Ctrl-C in the terminal reaches us and not it: we decide when it stops.
 * It does not outlive us: see WATCHDOG.
 */
export function startOwnedProcess(options: OwnedProcessOptions): OwnedProcess {
  const child = spawn(options.command, options.args, {
    env: options.env,
    cwd: options.cwd ?? '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...options.runAs,
  });
  const watchdog = child.pid === undefined ? null : startWatchdog(child.pid, options);

  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    stream.on('error', () => undefined);
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > LINES_KEPT) lines.shift();
      options.log?.(line);
    });
  }

  let end: string | null = null;
  const settle = (how: string) => {
    end ??= how;
    watchdog?.kill('SIGKILL'); // before the pid can belong to anyone else
  };
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => {
      settle(error.message);
      resolve(error.message);
    });
    child.once('exit', (code, signal) => settle(signal ? `signal ${signal}` : `exit code ${code}`));
    child.once('close', () => resolve(end ?? 'unknown')); // after its last line, and after the processes that it made
  });

  return Object.freeze({
    pid: child.pid ?? -1,
    ended,
    end: () => end,
    lastLines: () => [...lines],
    signal: (signal: NodeJS.Signals) => void (end === null && child.kill(signal)),
    stop: () => stop(child, ended, options.stopWith, () => end !== null),
  });
}

function startWatchdog(pid: number, options: OwnedProcessOptions): ChildProcess {
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  const ladder = options.stopWith.map(([signal, seconds]) => `${signal}:${seconds}`).join(' ');
  watchdog.on('error', () => undefined);
  watchdog.stdin?.on('error', () => undefined);
  watchdog.stdin?.write(`${pid} ${options.removeWithOwner ?? '-'} ${ladder}\n`);
  // Neither the watchdog nor its pipe may keep an event loop alive that has nothing else to do.
  watchdog.unref();
  (watchdog.stdin as { unref?: () => void } | null)?.unref?.();
  return watchdog;
}

async function stop(child: ChildProcess, ended: Promise<string>, ladder: StopLadder, hasEnded: () => boolean) {
  for (const [signal, graceSeconds] of ladder) {
    if (hasEnded()) return;
    child.kill(`SIG${signal}`);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, graceSeconds * 1000)))]);
    clearTimeout(timer);
  }
}
