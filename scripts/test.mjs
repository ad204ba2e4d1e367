// npm test [-- vitest's arguments]: every gate, then every tier; all of them, whatever fails on the way.
// The last line is "N passed, N failed, N skipped"; a gate that did not hold counts as one failure.
import { build } from './build.mjs';
import { closing, run, vitest, wasInterrupted } from './vitest.mjs';

const failedGates = [];

async function gate(name, holds) {
  if (wasInterrupted()) return;
  process.stdout.write(`\n== ${name}\n`);
  if (!(await holds())) failedGates.push(name);
}

await gate('format', async () => (await run('prettier', ['--check', '--log-level', 'warn', '.'])) === 0);
await gate('lint', async () => (await run('oxlint', ['--type-aware', '--deny-warnings'])) === 0);
await gate('typecheck', async () => (await run('tsc', ['--noEmit', '-p', 'tsconfig.test.json'])) === 0);
await gate('build', () =>
  build().then(
    () => true,
    (error) => (process.stderr.write(`${error.message}\n`), false),
  ),
);

const counts = {
  passed: 0,
  failed: failedGates.length,
  skipped: 0,
  failures: failedGates.map((name) => `the gate "${name}" did not hold`),
};
if (!wasInterrupted()) {
  process.stdout.write('\n== tests\n');
  const tests = await vitest(process.argv.slice(2));
  counts.passed = tests.passed;
  counts.failed += tests.failed;
  counts.skipped = tests.skipped;
  counts.failures.push(...tests.failures);
} else {
  counts.failed += 1;
  counts.failures.push('interrupted');
}

if (counts.passed + counts.failed === 0) {
  counts.failed = 1;
  counts.failures.push('no test ran');
}
process.stdout.write(closing(counts));
process.exitCode = counts.failed > 0 ? 1 : 0;
