import { execFile, type ExecFileException } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { FailureType, UnwindError } from '../contract/errors.js';
import type { Source, SourceRelease } from './source.js';

const URL_LIKE = /^[a-z][a-z0-9+.-]*:\/\//i;
const SCP_LIKE = /^[\w.-]+@[\w.-]+:/;

/** Is the source to be read through git? A directory only if it is a repository itself, not merely inside one. */
export async function isGitSource(source: string, tagsWanted: boolean): Promise<boolean> {
  if (needsClone(source)) return true;
  const directory = resolve(source);
  if (await exists(join(directory, '.git'))) return true;
  const parts = await Promise.all(['HEAD', 'objects', 'refs'].map((part) => exists(join(directory, part))));
  if (parts.every(Boolean)) return true;
  if (tagsWanted && (await exists(directory))) {
    throw unusable(
      `${source} is no git repository, so it has no tags. Leave --tags out, or give the repository's root.`,
    );
  }
  return false;
}

function needsClone(source: string): boolean {
  return source.endsWith('.bundle') || URL_LIKE.test(source) || SCP_LIKE.test(source);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

/** Every tag that the glob matches as a release. Equal trees and files are read once, so 70 tags cost about as much as 20. */
export async function readTags(source: string, glob: string, path: string): Promise<Source> {
  if (!needsClone(source)) return readRepository(resolve(source), source, glob, path);
  const directory = await mkdtemp(join(tmpdir(), 'pg-unwind-catalog-'));
  try {
    const from = URL_LIKE.test(source) || SCP_LIKE.test(source) ? source : resolve(source);
    await git(['clone', '--quiet', '--bare', '--', from, directory], shown(source));
    return await readRepository(directory, shown(source), glob, path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A URL may carry a password; messages do not. */
function shown(source: string): string {
  return source.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^@/]*@/i, '$1');
}

async function readRepository(directory: string, name: string, glob: string, path: string): Promise<Source> {
  const run = (args: readonly string[], input?: string) => git(['-C', directory, ...args], name, input);
  const tags = await readTagNames(run, name, glob);
  const folder = path.replace(/^\.?\/+|\/+$/g, '');
  const wanted = tags.map(({ ref }) => (folder === '' || folder === '.' ? `${ref}^{tree}` : `${ref}:${folder}`));
  const found = (await run(['cat-file', '--batch-check'], `${wanted.join('\n')}\n`))
    .toString('utf8')
    .trimEnd()
    .split('\n');
  const trees = found.map((line) => /^([0-9a-f]+) tree /.exec(line)?.[1] ?? null);
  const files = await readTrees(run, [...new Set(trees.filter((tree) => tree !== null))]);

  const releases: SourceRelease[] = [];
  const skipped: string[] = [];
  for (const [i, { label, publishedAt }] of tags.entries()) {
    const key = trees[i] ?? null;
    if (key === null) skipped.push(label);
    else releases.push({ label, publishedAt, tree: { key, files: files.get(key)! } });
  }
  if (releases.length === 0) {
    throw unusable(
      `None of the ${tags.length} tags of ${name} that match "${glob}" has a folder "${path}". Correct --path.`,
    );
  }
  return { releases, skipped };
}

type Run = (args: readonly string[], input?: string) => Promise<Buffer>;

async function readTagNames(run: Run, name: string, glob: string) {
  const format = '%(refname:strip=2)%09%(refname)%09%(creatordate:unix)';
  const list = async (pattern: string) => {
    const lines = (await run(['for-each-ref', `--format=${format}`, pattern])).toString('utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => line.split('\t'));
  };
  const tags = await list(`refs/tags/${glob}`);
  if (tags.length === 0) {
    const all = (await list('refs/tags')).map(([label]) => label!);
    const seen =
      all.length === 0 ? 'It has no tags.' : `It has ${all.length} tags, such as ${all.slice(-3).join(', ')}.`;
    throw unusable(`No tag of ${name} matches "${glob}". ${seen} Correct --tags.`);
  }
  return tags.map(([label = '', ref = '', seconds = '']) => {
    const publishedAt = seconds === '' ? null : new Date(Number(seconds) * 1000).toISOString();
    return { label, ref, publishedAt };
  });
}

/**
 * Trees by their object name. All objects of one depth are read by one git process, and equal ones once: that is four
 * processes for any number of tags. Files that are equal in several trees are one buffer.
 */
async function readTrees(run: Run, roots: readonly string[]): Promise<Map<string, Map<string, Buffer>>> {
  const trees = new Map<string, TreeEntry[]>();
  const blobs = new Set<string>();
  for (let open = [...roots]; open.length > 0;) {
    const next = new Set<string>();
    for (const [name, bytes] of await readObjects(run, open)) {
      const entries = parseTree(bytes, name.length / 2);
      trees.set(name, entries);
      for (const entry of entries) (entry.kind === 'tree' ? next : blobs).add(entry.object);
    }
    open = [...next].filter((name) => !trees.has(name));
  }
  const contents = await readObjects(run, [...blobs]);
  const list = (tree: string, prefix: string, files: Map<string, Buffer>) => {
    for (const { kind, name, object } of trees.get(tree)!) {
      if (kind === 'tree') list(object, `${prefix}${name}/`, files);
      else files.set(prefix + name, contents.get(object)!);
    }
    return files;
  };
  return new Map(roots.map((root) => [root, list(root, '', new Map())]));
}

interface TreeEntry {
  readonly kind: 'tree' | 'file';
  readonly name: string;
  readonly object: string;
}

/** git's own form of a tree: `<mode> <name>\0<binary object name>`, one after the other. */
function parseTree(bytes: Buffer, hashBytes: number): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const zero = bytes.indexOf(0x00, space);
    const mode = bytes.toString('latin1', at, space);
    const name = bytes.toString('utf8', space + 1, zero);
    at = zero + 1 + hashBytes;
    const kind = mode === '40000' ? 'tree' : mode.startsWith('100') ? 'file' : null; // not links and submodules
    if (kind !== null) entries.push({ kind, name, object: bytes.toString('hex', zero + 1, at) });
  }
  return entries;
}

async function readObjects(run: Run, names: readonly string[]): Promise<Map<string, Buffer>> {
  const objects = new Map<string, Buffer>();
  if (names.length === 0) return objects;
  const output = await run(['cat-file', '--batch'], `${names.join('\n')}\n`);
  for (let at = 0; at < output.length;) {
    const end = output.indexOf(0x0a, at);
    const [name = '', kind, size] = output.toString('latin1', at, end).split(' ');
    if (kind === 'missing') throw unusable(`git has no content for object ${name}; fetch the repository completely.`);
    const start = end + 1;
    objects.set(name, output.subarray(start, start + Number(size)));
    at = start + Number(size) + 1;
  }
  return objects;
}

/** A repository's migrations are a few megabytes; this is where something else was given. */
const MOST_OUTPUT = 1024 * 1024 * 1024;

function git(args: readonly string[], source: string, input = ''): Promise<Buffer> {
  return new Promise((done, fail) => {
    const options = {
      encoding: 'buffer' as const,
      maxBuffer: MOST_OUTPUT,
      env: { ...process.env, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' }, // fail instead of asking for a password
    };
    const child = execFile('git', args, options, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else fail(gitFailed(error, stderr.toString('utf8'), source));
    });
    child.stdin?.on('error', () => {}); // git ended before reading all of it: its own error says why
    child.stdin?.end(input);
  });
}

function gitFailed(error: ExecFileException, stderr: string, source: string): UnwindError {
  if (error.code === 'ENOENT') {
    return unusable('git was not found. Install it, or give a directory with --release instead of a repository.');
  }
  const said = shown(stderr.trim().split('\n').at(-1) ?? '').replace(/:\/\/[^@\s/]*@/g, '://');
  return unusable(`git could not read ${source}: ${said || 'it gave no reason'}`);
}

function unusable(message: string): UnwindError {
  return new UnwindError(FailureType.InvalidCatalog, message);
}
