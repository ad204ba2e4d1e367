// npm run test:majors [-- 14 16]: the tier test/postgres against the older majors, whose binaries are installed into the user's cache
// folder when they are not there yet. The last line is "N passed, N failed, N skipped".
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, repository } from './build.mjs';
import { closing, lineOf, vitest, wasInterrupted } from './vitest.mjs';

const VERSIONS = { 14: '14.23.0-beta.17', 15: '15.18.0-beta.17', 16: '16.14.0-beta.17', 17: '17.10.0-beta.17' };

const asked = process.argv.slice(2).map(Number);
const majors = Object.keys(VERSIONS)
  .map(Number)
  .filter((major) => asked.length === 0 || asked.includes(major));
if (majors.length === 0) {
  process.stderr.write(`There are ${Object.keys(VERSIONS).join(', ')}; 18 is what "npm test" runs on.\n`);
  process.exit(2);
}

await build({ say: (line) => process.stderr.write(`${line}\n`) }).catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.stdout.write(closing({ passed: 0, failed: 1, skipped: 0, failures: ['the build'] }));
  process.exit(1);
});
const { downloadedFolder, platformPackage } = await import(
  pathToFileURL(path.join(repository, 'dist', 'postgres', 'embedded-binaries.js')).href
);

const sum = { passed: 0, failed: 0, skipped: 0, failures: [] };
for (const major of majors) {
  if (wasInterrupted()) break;
  process.stdout.write(`\n== Postgres ${major}\n`);
  const why = install(major);
  if (why) {
    // never green by absence: on CI a major that cannot be had is a failure
    process.stdout.write(`Postgres ${major} ${process.env.CI ? 'failed' : 'skipped'}: ${why}\n`);
    sum[process.env.CI ? 'failed' : 'skipped'] += 1;
    if (process.env.CI) sum.failures.push(`Postgres ${major}: ${why}`);
    continue;
  }
  const counts = await vitest(['--project', 'postgres'], {
    PG_UNWIND_TEST_MAJOR: String(major),
    PG_UNWIND_POSTGRES_DIR: '',
  });
  process.stdout.write(`Postgres ${major}: ${lineOf(counts)}\n`);
  for (const key of ['passed', 'failed', 'skipped']) sum[key] += counts[key];
  sum.failures.push(...counts.failures.map((failure) => `Postgres ${major}: ${failure}`));
}
if (wasInterrupted() || sum.passed + sum.failed + sum.skipped === 0) {
  sum.failed += 1;
  sum.failures.push('interrupted, or no test ran');
}

process.stdout.write(closing(sum));
process.exitCode = sum.failed > 0 ? 1 : 0;

/** @returns {string | null} why it is not there */
function install(major) {
  const native = downloadedFolder(major);
  if (existsSync(path.join(native, 'bin', 'postgres'))) return null;
  const prefix = path.resolve(native, '../../../..');
  const wanted = `${platformPackage()}@${VERSIONS[major]}`;
  process.stdout.write(`Installing ${wanted} into ${prefix} …\n`);
  const { status, stderr } = spawnSync(
    'npm',
    [
      'install',
      '--prefix',
      prefix,
      '--no-save',
      '--no-package-lock',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      wanted,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] },
  );
  return status === 0 ? null : `npm could not install ${wanted}: ${stderr.trim().split('\n').slice(-2).join(' ')}`;
}
