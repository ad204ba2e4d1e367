// docs/comparison.md: the words are written by hand, what stands between the markers by `npm run comparison`.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { repository } from '../build.mjs';

const DOCUMENT = path.join(repository, 'docs', 'comparison.md');

const between = (id) => new RegExp(`(<!-- transcript ${id} -->\n)[^]*?(<!-- end -->)`);

/** @throws when the page has no place for it. */
export function expectPlace(id) {
  if (!between(id).test(readFileSync(DOCUMENT, 'utf8'))) {
    throw new Error(
      `docs/comparison.md has no place for the transcript "${id}": <!-- transcript ${id} --> … <!-- end -->.`,
    );
  }
}

export function putTranscript(id, text) {
  const page = readFileSync(DOCUMENT, 'utf8');
  writeFileSync(
    DOCUMENT,
    page.replace(between(id), (_, before, after) => `${before}\n\`\`\`text\n${text}\n\`\`\`\n\n${after}`),
  );
}
