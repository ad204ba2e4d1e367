import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const CORPUS_BESIDE = path.join(repository, '..', 'shared', 'corpora', 'sourcegraph-migrations.bundle');

export const PARTS = ['catalog', 'downgrade', 'distance', 'step', 'plan', 'resume', 'memory', 'data'];

export const USAGE = `npm run bench -- [--corpus PATH] [--quick] [--out FILE] [--rounds N] [--rows N] [--only ${PARTS.join(',')}] [--profile FOLDER]

  --corpus PATH     git repository or bundle with the release tags of the corpus; without it the one beside the checkout, else examples/shop
  --quick           one round of everything, a small fleet
  --out FILE        where the table goes (bench/RESULTS.md; with --only or --profile nowhere unless named)
  --rounds N        interleaved rounds of which the median counts (3; 1 when quick)
  --rows N          rows of the data migration (10000000; 200000 when quick)
  --only PARTS      some parts, for work on one of them
  --profile FOLDER  the workers write a CPU profile there at their end (node --cpu-prof); the figures then include its price`;

/** @throws {Error} with the usage. */
export function readOptions(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      corpus: { type: 'string' },
      quick: { type: 'boolean', default: false },
      out: { type: 'string' },
      rounds: { type: 'string' },
      rows: { type: 'string' },
      only: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds wants a whole number.\n\n${USAGE}`);
  const rows = Number(values.rows ?? (values.quick ? 200_000 : 10_000_000));
  if (!Number.isInteger(rows) || rows < 1) throw new Error(`--rows wants a whole number.\n\n${USAGE}`);
  const parts = values.only === undefined ? PARTS : values.only.split(',');
  const unknown = parts.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) throw new Error(`--only does not know ${unknown.join(', ')}.\n\n${USAGE}`);
  if (values.corpus !== undefined && !existsSync(values.corpus))
    throw new Error(`There is no corpus ${values.corpus}.\n\n${USAGE}`);
  const corpus = values.corpus ?? (existsSync(CORPUS_BESIDE) ? CORPUS_BESIDE : null);
  const whole = values.only === undefined && values.profile === undefined;
  return {
    help: values.help,
    corpus: corpus === null ? null : path.resolve(corpus),
    quick: values.quick,
    rounds,
    rows,
    parts: new Set(parts),
    profile: values.profile === undefined ? null : path.resolve(values.profile),
    // A table of some parts must not take the place of the whole one.
    out: values.out ? path.resolve(values.out) : whole ? path.join(repository, 'bench', 'RESULTS.md') : null,
  };
}
