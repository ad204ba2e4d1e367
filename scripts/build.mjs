// Compiles src/ to dist/ and bundles the workflows; does nothing, and says nothing, when dist/ is what src/ says.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const source = path.join(repository, 'src');
const dist = path.join(repository, 'dist');
const stateFile = path.join(dist, '.build.json');
const lock = path.join(dist, '.lock');

/** What a workflow may import (the arrows of ARCHITECTURE.md): a change elsewhere needs no new bundle, which saves two seconds. */
const BUNDLED_ROOMS = ['contract', 'plan', 'fleet', 'workflows'];

/**
 * @param {{ say?: (line: string) => void }} [options]
 * @returns {Promise<boolean>} whether there was anything to build
 * @throws when the compiler or the bundler finds an error; it has printed it.
 */
export async function build({ say = () => undefined } = {}) {
  if (!existsSync(source)) return false; // an installed package has no source, and its dist/ is final
  if (isCurrent()) return false;
  return withLock(async () => {
    if (isCurrent()) return false; // the process that held the lock built it
    say('pg-unwind: building …');
    const wanted = hashOf(inputs());
    const before = readState();
    rmSync(stateFile, { force: true });
    compile();
    removeOrphans();
    copySql();
    const bundle = await bundleWorkflows(before.bundle);
    writeFileSync(stateFile, `${JSON.stringify({ sources: wanted, bundle })}\n`);
    return true;
  });
}

function isCurrent() {
  return readState().sources === hashOf(inputs());
}

function readState() {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8'));
  } catch {
    return { sources: null, bundle: null };
  }
}

function inputs() {
  const own = ['tsconfig.json', 'package-lock.json', 'scripts/build.mjs'].map((name) => path.join(repository, name));
  return [...own, ...filesIn(source)];
}

/** By content, not by time: a checkout of another branch and back builds nothing. 200 files take 10 ms. */
function hashOf(files) {
  const hash = createHash('sha1');
  for (const file of files) hash.update(`${path.relative(repository, file)}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

function filesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

function compile() {
  const compiler = path.join(repository, 'node_modules', '.bin', 'tsc');
  const { status, error } = spawnSync(compiler, ['-p', 'tsconfig.json'], { cwd: repository, stdio: ['ignore', 2, 2] });
  if (error) throw new Error(`The TypeScript compiler could not be run (${error.message}). Run "npm ci".`);
  if (status !== 0) throw new Error('The TypeScript compiler found the errors above; dist/ is not to be used.');
  const cli = path.join(dist, 'cli.js');
  if (existsSync(cli)) chmodSync(cli, 0o755);
}

/** What a file that was moved or removed left behind would still be imported, and bundled. */
function removeOrphans() {
  for (const file of filesIn(dist)) {
    const inside = path.relative(dist, file);
    const from = inside.replace(/\.js(\.map)?$/, '.ts');
    if (inside === 'workflow-bundle.js' || inside.startsWith('.') || existsSync(path.join(source, from))) continue;
    rmSync(file);
  }
}

function copySql() {
  for (const file of filesIn(source)) {
    if (!file.endsWith('.sql')) continue;
    const target = path.join(dist, path.relative(source, file));
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(file, target);
  }
}

async function bundleWorkflows(bundleBefore) {
  const workflowsPath = path.join(dist, 'workflows', 'index.js');
  const output = path.join(dist, 'workflow-bundle.js');
  if (!existsSync(workflowsPath)) {
    rmSync(output, { force: true });
    return null;
  }
  const compiled = BUNDLED_ROOMS.flatMap((room) => filesIn(path.join(dist, room))).filter((file) =>
    file.endsWith('.js'),
  );
  const wanted = hashOf([path.join(repository, 'package-lock.json'), ...compiled]);
  if (wanted === bundleBefore && existsSync(output)) return wanted;

  const { bundleWorkflowCode, DefaultLogger } = await import('@temporalio/worker');
  const logger = new DefaultLogger('WARN', ({ level, message }) => process.stderr.write(`${level} ${message}\n`));
  const { code } = await bundleWorkflowCode({ workflowsPath, logger });
  writeFileSync(output, code);
  return wanted;
}

/** One build at a time, over all processes of this checkout; a lock whose owner is gone is taken over. */
async function withLock(work) {
  const owner = path.join(lock, 'pid');
  mkdirSync(dist, { recursive: true });
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAbandoned(owner)) rmSync(lock, { recursive: true, force: true });
    await sleep(100);
  }
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.once('exit', release);
  writeFileSync(owner, String(process.pid));
  try {
    return await work();
  } finally {
    process.removeListener('exit', release);
    release();
  }
}

const seenWithoutOwner = { times: 0 };

function isAbandoned(owner) {
  let pid;
  try {
    pid = Number(readFileSync(owner, 'utf8'));
  } catch {
    return ++seenWithoutOwner.times > 20; // made a moment ago, or by a process that died in that very moment
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await build({ say: (line) => process.stderr.write(`${line}\n`) });
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
