import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The folder beside the checkout that holds what is too big or too foreign to commit: fixtures and release data. */
export const shared = path.resolve(repository, '..', 'shared');
export const fixtures = path.join(shared, 'fixtures');
export const corpora = path.join(shared, 'corpora');

export function fixture<T = unknown>(name: string): T {
  return JSON.parse(readFileSync(path.join(fixtures, name), 'utf8')) as T;
}

/** For `describe.skipIf(...)`: null when the corpus is there, otherwise why the tests are skipped. */
export function missingCorpus(name: string): string | null {
  const folder = path.join(corpora, name);
  return existsSync(folder)
    ? null
    : `the release data ${path.relative(repository, folder)} is not beside this checkout`;
}

export function missingFixtures(): string | null {
  return existsSync(fixtures) ? null : `${path.relative(repository, fixtures)} is not beside this checkout`;
}
