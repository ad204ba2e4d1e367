// One running version of the shop at a time: a child process that ends with us.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('server.mjs', import.meta.url));
const LISTENS_WITHIN_MS = 20_000;
const ANSWERS_WITHIN_MS = 10_000;
const STOPS_WITHIN_MS = 10_000;
/** /healthz says that it reaches its databases. Only real requests say whether it gets on with what is in them. */
const PROOF = ['/healthz', '/orders', '/customers', '/sites'];

export function createApplication({ databases, port = 0, log = () => undefined }) {
  let running = null;
  let lastPort = port;

  /** Stops what runs, then starts this release and asks it real questions. @throws when it does not answer; nothing runs then. */
  async function deploy(release) {
    await stop();
    const child = await start(release, databases, lastPort);
    running = child;
    child.process.once('exit', () => {
      if (running === child) running = null;
    });
    lastPort = Number(new URL(child.url).port); // the shop keeps its address over its versions
    try {
      for (const path of PROOF) await expectAnswer(child, path);
    } catch (error) {
      await stop();
      throw error;
    }
    log(`${release} serves on ${child.url}`);
    return state();
  }

  async function stop() {
    const child = running;
    running = null;
    if (child === null) return state();
    await end(child.process);
    log(`${child.release} stopped`);
    return state();
  }

  const state = () => ({ release: running?.release ?? null, url: running?.url ?? null });
  return Object.freeze({ deploy, stop, state });
}

async function start(release, databases, port) {
  const args = ['--release', release, '--databases', databases, '--port', String(port)];
  const child = fork(SERVER, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-2_000)));
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), LISTENS_WITHIN_MS);
  try {
    const url = await new Promise((resolve, reject) => {
      const fail = (how) => reject(new Error(`shop ${release} did not start (${how}). ${said.trim()}`.trim()));
      child.once('error', (error) => fail(error.message));
      child.once('message', ({ listens }) => resolve(listens));
      child.once('close', (code, signal) => fail(signal ?? `exit code ${code}`));
      late.signal.addEventListener('abort', () => fail(`it did not listen within ${LISTENS_WITHIN_MS / 1000} s`));
    });
    return { release, url, process: child };
  } catch (error) {
    await end(child);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function expectAnswer({ release, url }, path) {
  const response = await fetch(url + path, { signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
  const text = await response.text();
  if (response.ok) return;
  throw new Error(`shop ${release} came up, but GET ${path} answers ${response.status}: ${text.trim()}`);
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOPS_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}
