import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';

import { FailureType, UnwindError } from '../contract/errors.js';
import type { Tree } from './formats/format.js';
import { isGitSource, readTags } from './git-source.js';
import { compareLabels } from './version.js';

export interface SourceOptions {
  /** A directory, a bare or ordinary git repository, a git URL, or a `.bundle` file. */
  readonly source: string;
  /** Folder of the migrations inside a release's tree; `migrations` where absent. */
  readonly path?: string | undefined;
  /** Which tags are releases, as a glob; makes a repository out of a directory that is one. */
  readonly tags?: string | undefined;
  /** The directory is this one release. */
  readonly release?: string | undefined;
}

export interface SourceRelease {
  readonly label: string;
  /** ISO 8601, UTC. */
  readonly publishedAt: string | null;
  readonly tree: Tree;
}

export interface Source {
  /** In version order. */
  readonly releases: readonly SourceRelease[];
  /** Labels without migrations at the path. */
  readonly skipped: readonly string[];
}

export const DEFAULT_PATH = 'migrations';

/**
 * Reads the releases of a source into memory: one directory with `release`, a folder with one directory for each release,
 * or the tags of a git repository.
 * @throws {UnwindError} InvalidCatalog: there is nothing to read; says what was found instead.
 */
export async function readSource(options: SourceOptions): Promise<Source> {
  if (options.tags !== undefined && options.release !== undefined) {
    throw new UnwindError(
      FailureType.InvalidInput,
      'A source is either one release (--release) or the tags of a repository (--tags), not both. Leave one of them out.',
    );
  }
  if (options.release === undefined && (await isGitSource(options.source, options.tags !== undefined))) {
    return inOrder(await readTags(options.source, options.tags ?? '*', options.path ?? DEFAULT_PATH));
  }
  const directory = resolve(options.source);
  const found = await stat(directory).catch(() => null);
  if (found === null || !found.isDirectory()) {
    const what = found === null ? 'does not exist' : 'is no directory';
    throw unusable(`${options.source} ${what}. Give a directory, a git repository, a git URL or a .bundle file.`);
  }
  const read = createReader();
  if (options.release !== undefined) {
    const tree = await read(directory, options.path);
    if (tree === null) throw unusable(`${options.source} has no folder "${options.path}". Correct --path.`);
    return { releases: [{ label: options.release, publishedAt: null, tree }], skipped: [] };
  }
  return inOrder(await readFolders(options, directory, read));
}

function inOrder(source: Source): Source {
  const releases = [...source.releases].sort((a, b) => compareLabels(a.label, b.label) || (a.label < b.label ? -1 : 1));
  return { ...source, releases };
}

async function readFolders(
  options: SourceOptions,
  directory: string,
  read: ReturnType<typeof createReader>,
): Promise<Source> {
  const entries = await readdir(directory, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  if (folders.length === 0) {
    throw unusable(`${options.source} has no folders; expected one for each release, named by its label.`);
  }
  if (folders.some((name) => /^\d+(_|$)/.test(name)) || folders.includes(options.path ?? DEFAULT_PATH)) {
    throw unusable(
      `${options.source} looks like the migrations of one release, not like a folder of releases. Name it with --release <label>.`,
    );
  }
  const releases: SourceRelease[] = [];
  const skipped: string[] = [];
  for (const label of folders.sort()) {
    const tree = await read(join(directory, label), options.path);
    if (tree === null) skipped.push(label);
    else releases.push({ label, publishedAt: null, tree });
  }
  if (releases.length === 0) {
    throw unusable(
      `None of ${folders.length} folders in ${options.source} has a folder "${options.path}". Correct --path.`,
    );
  }
  return { releases, skipped };
}

/** Reads directories to trees; equal files become one buffer, as they are for git. */
function createReader() {
  const byHash = new Map<string, Buffer>();
  /** Null: the path was named and is not there. Unnamed, a directory without `migrations` is itself the tree. */
  return async function read(directory: string, path: string | undefined): Promise<Tree | null> {
    const inside = join(directory, path ?? DEFAULT_PATH);
    const there = (await stat(inside).catch(() => null))?.isDirectory() === true;
    if (!there && path !== undefined) return null;
    const root = there ? inside : directory;
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .filter((file) => !file.split(sep).some((part) => part.startsWith('.')))
      .sort();
    const files = new Map<string, Buffer>();
    const all = createHash('sha256');
    for (const file of paths) {
      const bytes = await readFile(join(root, file));
      const hash = createHash('sha256').update(bytes).digest('hex');
      if (!byHash.has(hash)) byHash.set(hash, bytes);
      const portable = file.split(sep).join('/');
      files.set(portable, byHash.get(hash)!);
      all.update(`${portable}\0${hash}\n`);
    }
    return { key: all.digest('hex'), files };
  };
}

function unusable(message: string): UnwindError {
  return new UnwindError(FailureType.InvalidCatalog, message);
}
