// npm run test:crash [-- vitest's arguments]: the whole crash matrix and the random search, then docs/crash-matrix.md from what was seen.
// The last line is "N passed, N failed, N skipped". Where the arguments leave rows out, the document is left as it is.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { build, repository } from './build.mjs';
import { crashMatrixPage, crashMatrixTable } from './crash-matrix-page.mjs';
import { closing, vitest, wasInterrupted } from './vitest.mjs';

/** Files of test/crash in the order of the page, and how many rows each has. */
const FILES = { kill: 1, worker: 3, network: 6, servers: 4, rivals: 3, operator: 3 };
const DOCUMENT = path.join(repository, 'docs', 'crash-matrix.md');

const SEARCH = 'test/crash/random.test.ts';

function sumOf(one, other) {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
    failures: [...one.failures, ...other.failures],
  };
}

function readReports(folder) {
  if (!existsSync(folder)) return [];
  const order = Object.keys(FILES);
  return readdirSync(folder)
    .map((name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8')))
    .sort((one, other) => order.indexOf(one.file) - order.indexOf(other.file) || one.at - other.at);
}

await build({ say: (line) => process.stderr.write(`${line}\n`) });
const folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-crash-report-'));
const began = performance.now();
const asked = process.argv.slice(2);
const matrix = (args) =>
  vitest(['--project', 'crash', ...args], { PG_UNWIND_CRASH: 'all', PG_UNWIND_CRASH_REPORT: folder });
let counts;
let reports = [];
try {
  counts = await matrix(asked.length > 0 ? asked : ['--exclude', SEARCH]);
  reports = readReports(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const minutes = (performance.now() - began) / 60_000;
// By itself: beside it the matrix would measure how busy the machine is, not how long a recovery takes.
if (asked.length === 0 && !wasInterrupted()) counts = sumOf(counts, await matrix([SEARCH]));

if (reports.length > 0) process.stdout.write(`\n${crashMatrixTable(reports)}\n`);
const all = Object.values(FILES).reduce((sum, rows) => sum + rows, 0);
if (reports.length === all) {
  const options = { ...(await resolveConfig(DOCUMENT)), parser: 'markdown' };
  writeFileSync(DOCUMENT, await format(crashMatrixPage(reports, { minutes, cores: os.cpus().length }), options));
  process.stdout.write(`\nWrote ${path.relative(repository, DOCUMENT)}.\n`);
} else {
  process.stdout.write(`\n${reports.length} of ${all} rows were run: docs/crash-matrix.md is left as it is.\n`);
}
process.stdout.write(closing(counts));
process.exitCode = counts.failed > 0 ? 1 : 0;
