import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/postgres/embedded.js';
import type { PostgresMajor } from '../../src/postgres/embedded-binaries.js';

declare module 'vitest' {
  export interface ProvidedContext {
    postgres: { readonly url: string; readonly password: string; readonly version: string };
    temporal: { readonly address: string; readonly namespace: string };
  }
}

interface Server {
  stop(): Promise<void>;
}
interface Shared<T extends Server> {
  readonly starting: Promise<T>;
  users: number;
}

/** Tiers that need a Temporal server beside Postgres. */
const WITH_TEMPORAL: ReadonlySet<string> = new Set(['workflows', 'crash', 'corpus', 'e2e']);

// vitest loads this file once for each project that has files to run, each time as a module of its own; the servers are shared
// through the one global object of the main process, and the last project to leave stops them.
const shared = ((globalThis as Record<symbol, unknown>)[Symbol.for('pg-unwind.test-servers')] ??= new Map()) as Map<
  string,
  Shared<Server>
>;

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const releases: (() => Promise<void>)[] = [];
  const postgres = await join('postgres', startPostgres, releases);
  project.provide('postgres', { url: postgres.superuserUrl, password: postgres.password, version: postgres.version });

  if (WITH_TEMPORAL.has(project.name)) {
    const { startDevServer } = await import('../../src/temporal/dev-server.js');
    const temporal = await join(
      'temporal',
      () => startDevServer({ headless: true, anyPort: true, say: console.error }),
      releases,
    );
    project.provide('temporal', { address: temporal.address, namespace: temporal.namespace });
  }
  return async () => {
    for (const release of releases) await release();
  };
}

function startPostgres(): Promise<EmbeddedPostgres> {
  const major = process.env['PG_UNWIND_TEST_MAJOR'];
  return startEmbeddedPostgres(major ? { major: Number(major) as PostgresMajor } : {});
}

async function join<T extends Server>(
  name: string,
  start: () => Promise<T>,
  releases: (() => Promise<void>)[],
): Promise<T> {
  const server = (shared.get(name) as Shared<T> | undefined) ?? { starting: start(), users: 0 };
  shared.set(name, server);
  server.users += 1;
  releases.push(async () => {
    server.users -= 1;
    if (server.users > 0) return;
    shared.delete(name);
    await (await server.starting).stop();
  });
  return server.starting;
}
