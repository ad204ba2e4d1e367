import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { repository } from './options.mjs';
import { startOwnedProcess } from './product.mjs';

const READY = /worker ready/;
const READY_WITHIN_MS = 60_000;

/**
 * `pg-unwind worker` as users run it: a process of its own.
 * @param {{ config: { file: string }, profile?: string | null }} options
 */
export async function startWorker({ config, profile = null }) {
  if (profile !== null) mkdirSync(profile, { recursive: true });
  let isReady = () => undefined;
  const ready = new Promise((resolve) => (isReady = resolve));
  const child = startOwnedProcess({
    command: process.execPath,
    args: [
      '--enable-source-maps',
      ...(profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, '--cpu-prof-interval=500']),
      path.join(repository, 'dist', 'cli.js'),
      'worker',
      '--config',
      config.file,
    ],
    env: process.env,
    cwd: repository,
    stopWith: [
      ['TERM', 20],
      ['KILL', 5],
    ],
    log: (line) => READY.test(line) && isReady(true),
  });
  const late = AbortSignal.timeout(READY_WITHIN_MS);
  const failed = new Promise((resolve) => late.addEventListener('abort', () => resolve(false), { once: true }));
  if (!(await Promise.race([ready, child.ended.then(() => false), failed]))) {
    await child.stop();
    throw new Error(`The worker did not start. Its last lines: ${child.lastLines().slice(-8).join(' | ')}`);
  }
  return {
    pid: child.pid,
    kill: async () => {
      child.signal('SIGKILL');
      await child.ended;
    },
    stop: () => child.stop(),
    lastLines: () => child.lastLines(),
    residentMb: () => residentMb(child.pid),
  };
}

/** Null when it cannot be read. */
function residentMb(pid) {
  try {
    const kilobytes =
      process.platform === 'linux'
        ? /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
        : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
    return Math.round(Number(kilobytes) / 1024);
  } catch {
    return null;
  }
}
