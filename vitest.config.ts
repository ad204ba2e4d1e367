import { defineConfig } from 'vitest/config';

interface Tier {
  readonly name: string;
  /** The real servers of test/support/global-setup.ts that the tier needs. */
  readonly servers: boolean;
  readonly testTimeout: number;
}

/** `npm test` keeps one row of the crash matrix; `npm run test:crash` runs it all (scripts/test-crash.mjs). */
const crash = process.env['PG_UNWIND_CRASH'] === 'all' ? '**/*.test.ts' : 'kill.test.ts';

/** style.md §4: a tier is a folder of test/. Timeouts are for two slow cores, not for a good day. */
const tiers: readonly Tier[] = [
  { name: 'unit', servers: false, testTimeout: 20_000 },
  { name: 'postgres', servers: true, testTimeout: 60_000 },
  { name: 'workflows', servers: true, testTimeout: 120_000 },
  { name: 'replay', servers: false, testTimeout: 120_000 },
  { name: 'crash', servers: true, testTimeout: 300_000 },
  { name: 'corpus', servers: true, testTimeout: 300_000 },
  { name: 'e2e', servers: true, testTimeout: 600_000 },
  // needs a server that `npm run test:cluster` builds
  ...(process.env['PG_UNWIND_TEMPORAL_SERVER'] ? [{ name: 'cluster', servers: true, testTimeout: 300_000 }] : []),
];

export default defineConfig({
  test: {
    pool: 'forks', // the Temporal SDK is a native addon
    maxWorkers: 2,
    passWithNoTests: true,
    projects: tiers.map(({ name, servers, testTimeout }) => ({
      test: {
        name,
        include: [`test/${name}/${name === 'crash' ? crash : '**/*.test.ts'}`],
        environment: 'node',
        pool: 'forks' as const,
        testTimeout,
        hookTimeout: 120_000,
        teardownTimeout: 60_000,
        ...(servers ? { globalSetup: ['test/support/global-setup.ts'] } : {}),
      },
    })),
  },
});
