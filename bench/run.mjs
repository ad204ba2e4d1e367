// npm run bench [-- --quick …]: see options.mjs. Starts its own Postgres and Temporal, and stops them however it ends.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { measureAll } from './measure.mjs';
import { readOptions, repository, USAGE } from './options.mjs';
import { createStops, onInterrupt } from './product.mjs';
import { resultsPage } from './results.mjs';

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) return void process.stdout.write(`${USAGE}\n`);
  const say = (line) => process.stderr.write(`${line}\n`);
  const interrupt = onInterrupt();
  const stops = createStops();
  try {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'pg-unwind-bench-'));
    stops.push(() => rm(folder, { recursive: true, force: true }));
    const interrupted = interrupt.arrived.then((signal) => {
      throw new Error(`Stopped by ${signal}; nothing was written.`);
    });
    const page = resultsPage(await Promise.race([measureAll({ options, stops, folder, say }), interrupted]));
    process.stdout.write(`${page}\n`);
    if (options.out === null) return;
    await writeFile(options.out, page);
    say(`written to ${path.relative(process.cwd(), options.out) || path.relative(repository, options.out)}`);
  } finally {
    await stops.all();
    interrupt.release();
  }
}

try {
  await main();
  process.exit(0); // a measurement that was interrupted may still wait for what is gone
} catch (error) {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exit(1);
}
