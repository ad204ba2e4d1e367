// npm run comparison [-- --print] [names of probes]
//
// Repeats the probes of docs/comparison.md with our product and writes the transcripts into that page; with --print to standard
// output only. Ends with exit code 1 when one does not hold, whose transcript in the page stays as it is.
import { parseArgs } from 'node:util';
import { build } from './build.mjs';

const { values, positionals } = parseArgs({ options: { print: { type: 'boolean' } }, allowPositionals: true });
const say = (line) => process.stderr.write(`${line}\n`);

await build({ say });
const { NAMES, playAll } = await import('./comparison/play.mjs');
const { expectPlace, putTranscript } = await import('./comparison/page.mjs');

const names = positionals.length > 0 ? positionals : NAMES;
const unknown = names.filter((name) => !NAMES.includes(name));
if (unknown.length > 0) {
  say(`There is no probe ${unknown.join(', ')}. There are ${NAMES.join(', ')}.`);
  process.exit(2);
}
const print = (id, text) => process.stdout.write(`\n== ${id}\n${text}\n`);
if (!values.print) names.forEach(expectPlace);

const failures = await playAll({ names, say, keep: values.print ? print : putTranscript });
if (failures.length > 0) say(`Does not hold: ${failures.join(', ')}.`);
process.exit(failures.length > 0 ? 1 : 0); // a probe that was interrupted may still wait for what is gone
