// Writes the pages that are made from the source: docs/errors.md.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, repository } from './build.mjs';

await build({ say: (line) => process.stderr.write(`${line}\n`) });
const { errorsPage } = await import(pathToFileURL(path.join(repository, 'dist/cli/explain/page.js')).href);
writeFileSync(path.join(repository, 'docs/errors.md'), errorsPage());
