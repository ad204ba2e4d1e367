import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

import type { Tree } from '../../../src/catalog/formats/format.js';

export type Files = Readonly<Record<string, string>>;

export function treeOf(files: Files): Tree {
  const entries = Object.entries(files).map(([path, text]) => [path, Buffer.from(text, 'utf8')] as const);
  return { key: JSON.stringify(files), files: new Map(entries) };
}

/** The three files of a migration. */
export function migration(
  folder: string,
  parents: readonly number[],
  { name = folder.split('_').slice(1).join('_'), up = 'SELECT 1;', down = 'SELECT 2;', extra = '' } = {},
): Files {
  return {
    [`${folder}/up.sql`]: `${up}\n`,
    [`${folder}/down.sql`]: `${down}\n`,
    [`${folder}/metadata.yaml`]: `name: ${name}\nparents: [${parents.join(', ')}]\n${extra}`,
  };
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pg-unwind-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function write(directory: string, files: Files): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

/** One folder for each release. */
export function folderOfReleases(releases: Readonly<Record<string, Files>>): string {
  const directory = temporaryDirectory();
  for (const [label, files] of Object.entries(releases)) write(join(directory, label), files);
  return directory;
}

/** A repository with one commit and tag for each release, a day apart from the first of January 2024. */
export function repositoryOfReleases(
  releases: readonly (readonly [label: string, files: Files, day?: number])[],
): string {
  const directory = temporaryDirectory();
  const git = (args: readonly string[], date = '2024-01-01T00:00:00Z') =>
    execFileSync('git', ['-C', directory, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      env: { ...process.env, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date },
      stdio: 'pipe',
    });
  git(['init', '--quiet', '--initial-branch', 'main']);
  for (const [i, [label, files, day = i + 1]] of releases.entries()) {
    rmSync(join(directory, 'migrations'), { recursive: true, force: true });
    write(directory, files);
    const date = `2024-01-${String(day).padStart(2, '0')}T12:00:00Z`;
    git(['add', '--all']);
    git(['commit', '--quiet', '--allow-empty', '--message', label], date);
    git(['tag', label], date);
  }
  return directory;
}

export function inFolder(folder: string, ...files: readonly Files[]): Files {
  return Object.fromEntries(
    files.flatMap((it) => Object.entries(it)).map(([path, text]) => [`${folder}/${path}`, text]),
  );
}
