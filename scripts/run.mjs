// node scripts/run.mjs <entry of dist/> [args]   builds if needed, then becomes that program
// node scripts/run.mjs --bench [args]            the same with bench/run.mjs
//
// The program runs in this very process: signals, exit code and standard input are its own, and there is no second Node to start.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, repository } from './build.mjs';

const [what, ...rest] = process.argv.slice(2);
const program =
  what === '--bench' ? path.join(repository, 'bench', 'run.mjs') : path.join(repository, 'dist', what ?? '');

let built = true;
try {
  await build({ say: (line) => process.stderr.write(`${line}\n`) });
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
  built = false;
}

if (built && (what === undefined || !existsSync(program))) {
  process.stderr.write(`There is no program ${path.relative(repository, program)}.\n`);
  process.exitCode = 1;
} else if (built) {
  process.setSourceMapsEnabled(true);
  process.argv.splice(1, process.argv.length, program, ...rest);
  await import(pathToFileURL(program).href);
}
