import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { HookOutcome } from './hook-outcome.js';

export interface CommandCall {
  readonly argv: readonly string[];
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Its standard input. */
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** EX_TEMPFAIL of sysexits.h: the program says itself that a repeat helps. */
const TRY_AGAIN = 75;
/** After a polite signal, before the last one. */
const GRACE_MS = 3_000;
/** Whether anybody is left meanwhile. */
const LOOK_MS = 20;
/** What it has printed is read this much longer: a program that it leaves running may keep the pipes open for ever. */
const DRAIN_MS = 300;
const MOST_BYTES = 16 * 1024;

/**
 * Runs the program in a process group of its own, and ends that group with it when its time is over, when the signal comes, and when
 * this worker dies: no second call may begin beside a first. Whatever a program that has ended well leaves running is left alone.
 * @throws the signal's reason, when it comes.
 */
export async function callCommand(call: CommandCall): Promise<HookOutcome> {
  call.signal.throwIfAborted();
  const [program, ...args] = call.argv as [string, ...string[]]; // as: the configuration has one at least
  const watchdog = startWatchdog(); // before what it watches over: this worker may die at any moment
  const child = spawn(program, args, {
    cwd: call.folder,
    env: call.env,
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  const printed = tailOf(child);
  child.stdin.on('error', () => undefined); // it need not read
  child.stdin.end(call.body);
  if (child.pid !== undefined) watchdog.stdin?.write(`${child.pid}\n`);
  const late = AbortSignal.timeout(call.timeoutMs);
  try {
    const end = await endedOr(child, AbortSignal.any([call.signal, late]));
    if (end === 'stopped') await endGroup(child);
    call.signal.throwIfAborted();
    return outcomeOf(end, `was ended after ${call.timeoutMs / 1_000} s`, await printed(), program);
  } finally {
    if (watchdog.pid !== undefined) signalGroup(watchdog.pid, 'SIGKILL'); // before the number can be anybody else's
    watchdog.stdin?.destroy();
    child.stderr.destroy();
  }
}

type End =
  { readonly code: number | null; readonly by: NodeJS.Signals | null } | { readonly error: string } | 'stopped';

function outcomeOf(end: End, late: string, said: string, program: string): HookOutcome {
  if (end === 'stopped') return { kind: 'unanswered', what: late, said };
  if ('error' in end) {
    const why = end.error === 'ENOENT' ? 'does not exist' : `cannot be started (${end.error})`;
    return { kind: 'refused', what: `"${program}" ${why}`, said };
  }
  if (end.code === 0) return { kind: 'answered', answer: 'done' };
  const what = end.code === null ? `was ended by ${end.by ?? 'a signal'}` : `ended with exit code ${end.code}`;
  return { kind: end.code === TRY_AGAIN ? 'unanswered' : 'refused', what, said };
}

function endedOr(child: ChildProcess, stop: AbortSignal): Promise<End> {
  return new Promise((resolve) => {
    const onStop = () => resolve('stopped');
    child.once('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? 'unknown' }));
    child.once('exit', (code, by) => resolve({ code, by }));
    if (stop.aborted) onStop();
    else stop.addEventListener('abort', onStop, { once: true });
  });
}

async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const exited = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
  signalGroup(child.pid, 'SIGTERM');
  const until = performance.now() + GRACE_MS;
  while (isGroupThere(child.pid) && performance.now() < until) await pause(LOOK_MS); // those too that its leader has left behind
  signalGroup(child.pid, 'SIGKILL');
  await exited;
}

function isGroupThere(leader: number): boolean {
  try {
    return process.kill(-leader, 0);
  } catch {
    return false;
  }
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // nobody is left in it
  }
}

// The kernel closes the pipe however this process dies, SIGKILL included; only then does the shell end the group.
const WATCHDOG = `read -r group || exit 0
cat > /dev/null
kill -s TERM -- "-$group" 2> /dev/null || exit 0
sleep 3
kill -s KILL -- "-$group" 2> /dev/null`;

function startWatchdog(): ChildProcess {
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  watchdog.on('error', () => undefined); // without a shell there is none
  watchdog.stdin?.on('error', () => undefined);
  watchdog.unref();
  return watchdog;
}

/** The end of its standard error. */
function tailOf(child: ChildProcess): () => Promise<string> {
  let tail = Buffer.alloc(0);
  child.stderr?.on('data', (chunk: Buffer) => (tail = Buffer.concat([tail, chunk]).subarray(-MOST_BYTES)));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return async () => {
    await Promise.race([closed, pause(DRAIN_MS)]);
    return tail.toString('utf8');
  };
}
