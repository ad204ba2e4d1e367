import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import envPaths from 'env-paths';

const run = promisify(execFile);
/** Of temporalio 1.35. */
const LEAST = [3, 10] as const;
const INSTALL_MS = 240_000;

export type PythonEnvironment = { readonly python: string } | { readonly missing: string };

/** An interpreter with the packages of a requirements file: made once for each text of it, in the user's cache folder. */
export async function pythonEnvironment(requirements: string): Promise<PythonEnvironment> {
  const version = await run('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  if (version === null) return { missing: 'there is no python3 on this machine' };
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) {
    return { missing: `python3 is ${version}; it must be ${LEAST.join('.')} or later` };
  }
  const hash = createHash('sha256')
    .update(`${version}\n${readFileSync(requirements, 'utf8')}`)
    .digest('hex');
  const folder = path.join(envPaths('pg-unwind', { suffix: '' }).cache, `python-${hash.slice(0, 16)}`);
  const python = path.join(folder, 'bin', 'python');
  const complete = path.join(folder, 'complete');
  if (existsSync(complete)) return { python };
  await rm(folder, { recursive: true, force: true });
  await mkdir(path.dirname(folder), { recursive: true });
  try {
    await run('python3', ['-m', 'venv', folder], { timeout: INSTALL_MS });
  } catch {
    return { missing: 'python3 has no venv (on Debian: apt-get install python3-venv)' };
  }
  try {
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements];
    await run(python, install, { timeout: INSTALL_MS });
  } catch (error) {
    return { missing: `pip could not install ${requirements}: ${lastLine(error)}` };
  }
  await writeFile(complete, '');
  return { python };
}

function lastLine(error: unknown): string {
  const { stderr = '' } = error as { stderr?: string };
  return stderr.trimEnd().split('\n').at(-1) ?? '';
}
