// npm run test:cluster [-- vitest's arguments]: the tier test/cluster, on a Temporal server that keeps everything in PostgreSQL and lets in only
// those who show a certificate. The server is built into the user's cache folder when it is not there yet: that takes Go and some minutes,
// this once. The last line is "N passed, N failed, N skipped".
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import envPaths from 'env-paths';
import { build } from './build.mjs';
import { closing, vitest, wasInterrupted } from './vitest.mjs';

/** A tag without a `replace` in its go.mod, which `go install` would refuse. */
const VERSION = 'v1.31.2';
const PROGRAMS = { server: 'go.temporal.io/server/cmd/server', sql: 'go.temporal.io/server/cmd/tools/sql' };

const folder = path.join(envPaths('pg-unwind', { suffix: '' }).cache, `temporal-server-${VERSION}`);

const missing = [missingServer(), missingOpenssl()].filter((why) => why !== null);
if (missing.length > 0) {
  // never green by absence: on CI a cluster that cannot be had is a failure
  for (const why of missing)
    process.stdout.write(`The cluster tests were ${process.env.CI ? 'not run' : 'skipped'}: ${why}\n`);
  process.stdout.write(
    closing(
      process.env.CI
        ? { passed: 0, failed: 1, skipped: 0, failures: [`the cluster: ${missing.join('; ')}`] }
        : { passed: 0, failed: 0, skipped: 1, failures: [] },
    ),
  );
  process.exit(process.env.CI ? 1 : 0);
}

await build({ say: (line) => process.stderr.write(`${line}\n`) }).catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.stdout.write(closing({ passed: 0, failed: 1, skipped: 0, failures: ['the build'] }));
  process.exit(1);
});
// One file at a time: each has a server of its own, and two cores are few for two.
const counts = await vitest(['--project', 'cluster', '--no-file-parallelism', ...process.argv.slice(2)], {
  PG_UNWIND_TEMPORAL_SERVER: folder,
});
if (wasInterrupted() || counts.passed + counts.failed + counts.skipped === 0) {
  counts.failed += 1;
  counts.failures.push('interrupted, or no test ran');
}
process.stdout.write(closing(counts));
process.exitCode = counts.failed > 0 ? 1 : 0;

/** Builds it where it is not there. @returns {string | null} why it cannot be had */
function missingServer() {
  const names = Object.keys(PROGRAMS);
  if (names.every((name) => existsSync(path.join(folder, name)))) return null;
  if (spawnSync('go', ['version']).status !== 0) {
    return 'there is no Temporal server to test with, and no "go" to build one: install Go 1.26 or later';
  }
  process.stdout.write(`Building the Temporal server ${VERSION} into ${folder}; some minutes, this once …\n`);
  mkdirSync(path.dirname(folder), { recursive: true });
  const scratch = mkdtempSync(`${folder}.`); // renamed when it is whole: nobody finds half of one
  try {
    const packages = Object.values(PROGRAMS).map((name) => `${name}@${VERSION}`);
    const { status, stderr } = spawnSync(
      'go',
      ['install', '-tags', 'disable_grpc_modules', '-ldflags=-s -w', ...packages],
      {
        cwd: scratch,
        env: { ...process.env, GOBIN: scratch, CGO_ENABLED: '0' },
        encoding: 'utf8',
        stdio: ['ignore', 'ignore', 'pipe'],
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    if (status !== 0) return `"go install" failed: ${(stderr ?? '').trim().split('\n').slice(-2).join(' ')}`;
    rmSync(folder, { recursive: true, force: true });
    renameSync(scratch, folder);
    return null;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The certificates are made with it. */
function missingOpenssl() {
  return spawnSync('openssl', ['version']).status === 0
    ? null
    : 'there is no "openssl" to make certificates with: install it ("apt-get install openssl")';
}
