// Runs vitest and counts what it did, for scripts/test.mjs and scripts/test-majors.mjs.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repository } from './build.mjs';

/** @typedef {{ passed: number, failed: number, skipped: number, failures: string[] }} Counts */

/** Runs a program of node_modules/.bin with our terminal. @returns {Promise<number>} its exit code */
export function run(program, args, env = {}) {
  const child = spawn(path.join(repository, 'node_modules', '.bin', program), args, {
    cwd: repository,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  // Ctrl-C reaches the child too, through the terminal; we stay to see it clean up. A SIGTERM reaches us alone.
  const ignore = () => undefined;
  const forward = () => child.kill('SIGTERM');
  process.on('SIGINT', ignore);
  process.on('SIGTERM', forward);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.removeListener('SIGINT', ignore);
      process.removeListener('SIGTERM', forward);
      if (signal || code === 130) interrupted = true;
      resolve(code ?? 1);
    });
  });
}

let interrupted = false;
export const wasInterrupted = () => interrupted;

/** @returns {Promise<Counts>} with at least one failure whenever vitest says that something was wrong */
export async function vitest(args, env = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-vitest-'));
  const report = path.join(folder, 'report.json');
  try {
    const code = await run(
      'vitest',
      ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
      env,
    );
    const counts = countsIn(report);
    if (code !== 0 && counts.failed === 0) {
      counts.failed = 1;
      counts.failures.push('vitest itself: an unhandled error, or servers that did not start');
    }
    return counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countsIn(report) {
  let found;
  try {
    found = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { passed: 0, failed: 0, skipped: 0, failures: [] };
  }
  // a file that could not even be loaded has no test to fail
  const broken = found.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: found.numPassedTests,
    failed: found.numFailedTests + broken.length,
    skipped: found.numPendingTests + found.numTodoTests,
    failures: [
      ...broken.map((file) => `${nameOf(file)}: ${firstLine(file.message)}`),
      ...found.testResults.flatMap((file) =>
        file.assertionResults
          .filter((test) => test.status === 'failed')
          .map((test) => `${nameOf(file)} > ${test.fullName}: ${firstLine(test.failureMessages[0])}`),
      ),
    ],
  };
}

const nameOf = (file) => path.relative(repository, file.name);
const firstLine = (text = '') => text.split('\n')[0];

/** What did not hold, a line each, and the closing line that .ci/run reads; it gathers the lines before it too. */
export function closing({ passed, failed, skipped, failures }) {
  const lines = failures.map((failure) => `Failed: ${failure}\n`);
  return `\n${lines.join('')}${lineOf({ passed, failed, skipped })}\n`;
}

export function lineOf({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
