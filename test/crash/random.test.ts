import { expect, test } from 'vitest';
import { SIZES } from './random/generator.js';
import { search, summaryOf } from './random/search.js';

// Two ways into one search: some runs in the tier `crash`, or as many as there is time for, by `npm run soak`.
const minutes = Number(process.env['PG_UNWIND_SOAK_MINUTES'] ?? 0);
const path = process.env['PG_UNWIND_SOAK_PATH'];
const seed = Number(process.env['PG_UNWIND_SOAK_SEED'] ?? Math.floor(Math.random() * 0x3fff_ffff));
const concurrency = Number(process.env['PG_UNWIND_SOAK_CONCURRENCY'] ?? 6);

const RUNS = 40;
const PER_SEED = 5;
const WITHIN_MS = 220_000;

const say = (line: string) => process.stdout.write(`${line}\n`);

async function look(options: {
  withinMs: number;
  shrinkMs: number;
  findings: number;
  perSeed: number;
  sizes: number;
  seeds?: number;
}) {
  say(`seed ${seed}${path === undefined ? '' : `, path ${path}`}`);
  const result = await search({ ...options, seed, concurrency, say, ...(path === undefined ? {} : { path }) });
  say(summaryOf(result.runs, result.tally));
  expect(result.findings.map((finding) => finding.split('\n').slice(0, 3).join('\n'))).toEqual([]);
  return result;
}

if (minutes > 0 || path !== undefined) {
  const withinMs = minutes > 0 ? minutes * 60_000 : 1_800_000;
  test('no drawn case is found that is not survived', { timeout: withinMs + 600_000 }, async () => {
    await look({ withinMs, perSeed: 10, shrinkMs: 300_000, findings: 10, sizes: SIZES.length });
  });
} else if (process.env['PG_UNWIND_CRASH'] === 'all') {
  test(`${RUNS} drawn cases, each with a schedule of faults, end where they should`, { timeout: 400_000 }, async () => {
    const { runs } = await look({
      withinMs: WITHIN_MS,
      perSeed: PER_SEED,
      shrinkMs: 60_000,
      findings: 1,
      sizes: 3,
      seeds: RUNS / PER_SEED,
    });
    expect(runs).toBeGreaterThanOrEqual(RUNS);
  });
}
