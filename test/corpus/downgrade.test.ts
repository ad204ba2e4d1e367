import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildCatalog } from '../../src/catalog/build.js';
import { findRelease, migrationIds } from '../../src/catalog/releases.js';
import { leaves } from '../../src/catalog/graph.js';
import { writeCatalog } from '../../src/catalog/store.js';
import type { Catalog, ScriptVersion } from '../../src/contract/catalog.js';
import type { Direction } from '../../src/contract/plan.js';
import type { UnwindReport } from '../../src/contract/messages.js';
import { sourcegraphLedger } from '../../src/journal/ledgers/sourcegraph.js';
import { diffFingerprints } from '../../src/postgres/fingerprint-difference.js';
import { readFingerprint } from '../../src/postgres/fingerprint.js';
import { workflowBundle } from '../support/bundle.js';
import { openTestEngine, type TestEngine } from '../support/engine.js';
import {
  allowedDifferences,
  countOf,
  otherRowsThanAllowed,
  otherThanAllowed,
  readRows,
  summaryOf,
} from '../support/final-schema.js';
import {
  asTemplate,
  createDatabase,
  dropTemplate,
  expectNoLeaks,
  withClient,
  type TestDatabase,
} from '../support/postgres.js';
import { corpora, fixture, missingCorpus, missingFixtures } from '../support/shared.js';

const CORPUS = 'sourcegraph-migrations.bundle';
const missing = missingCorpus(CORPUS) ?? missingFixtures();
if (missing !== null) console.warn(`skipped: ${missing}`);

const KEYS = {
  frontend: 'schema_migrations',
  codeintel: 'codeintel_schema_migrations',
  codeinsights: 'codeinsights_schema_migrations',
} as const;
type Name = keyof typeof KEYS;
const NAMES = Object.keys(KEYS) as Name[];
type Databases = Readonly<Record<Name, TestDatabase>>;

/** Products of one release each: what a fresh installation of it has, in that release's own texts. */
const FRESH = ['v5.8.1579', 'v6.0.0', 'v7.1.0', 'v7.2.0'] as const;
/** v7.0.0 in the texts of v7.2.0: where final-schema.md starts from. */
const REWRITTEN = 'v7.0.0';
/** Instances of the whole catalog. */
const INSTANCES = ['descent', 'minors', 'seven', 'filled'] as const;

/** What the comparison leaves out: the ledger, and the row that says which release it is (compared by itself). */
const NOT_COMPARED = ['migration_logs'];
const ROWS_NOT_COMPARED = [...NOT_COMPARED, 'versions'];

interface ReleasesFixture {
  readonly releases: readonly ({ tag: string } & Record<Name, { count: number; leaves: number[] }>)[];
}

describe.skipIf(missing !== null)(
  `the Sourcegraph corpus through Temporal${missing === null ? '' : `: skipped, ${missing}`}`,
  () => {
    let folder = '';
    let catalog: Catalog;
    let engine: TestEngine;
    let anchor: TestDatabase;
    const env: NodeJS.ProcessEnv = {};
    const open = new Map<string, Databases>();
    const templates: TestDatabase[] = [];

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-corpus-'));
      const source = path.join(corpora, CORPUS);
      const built = await buildCatalog({ product: 'sourcegraph', format: 'sourcegraph', source, tags: 'v*' });
      catalog = built.catalog;
      await writeCatalog(path.join(folder, 'sourcegraph'), built);
      for (const tags of FRESH) {
        const one = await buildCatalog({ product: 'sourcegraph', format: 'sourcegraph', source, tags });
        await writeCatalog(path.join(folder, tags), one);
      }
      await writeCatalog(path.join(folder, REWRITTEN), { ...built, catalog: inNewestTexts(catalog, REWRITTEN) });
      engine = await openTestEngine({ config: configuration(), folder, env });
      anchor = await createDatabase(); // its role owns all the others, so that copies belong to whoever owned the original
    });

    afterEach(async () => {
      for (const databases of open.values()) for (const name of NAMES) await expectNoLeaks(databases[name]);
    });

    afterAll(async () => {
      await engine?.close();
      for (const databases of open.values()) for (const name of NAMES) await databases[name].drop();
      for (const template of templates) await dropTemplate(template);
      await anchor?.drop();
      if (folder !== '') await rm(folder, { recursive: true });
    });

    /** Gives an instance its databases: empty ones, or copies. */
    async function install(instance: string, from?: Readonly<Record<Name, string>>): Promise<Databases> {
      const made: Partial<Record<Name, TestDatabase>> = {};
      for (const name of NAMES) {
        const database = await createDatabase({ owner: anchor.role, ...(from ? { template: from[name] } : {}) });
        made[name] = database;
        env[urlOf(instance, name)] = database.url;
        env[`${urlOf(instance, name)}_PRIVILEGED`] = database.superuserUrl;
      }
      const databases = made as Databases;
      open.set(instance, databases);
      return databases;
    }

    const upgrade = (instance: string, to: string) => move('up', instance, to);
    const downgrade = (instance: string, to: string) => move('down', instance, to);

    /** With consent to exactly the plan that is shown before: ups drop columns too. */
    async function move(direction: Direction, instance: string, to: string): Promise<UnwindReport> {
      const { plan } = await engine.plan({ instance, to, direction });
      const input = { instance, to, acceptDataLoss: plan.id, by: 'the corpus test' };
      const run = await engine.start(direction === 'down' ? 'downgrade' : 'upgrade', input);
      const report = await run.unaided();
      expect(report).toMatchObject({ outcome: 'completed', plan: plan.id, standsAt: to });
      expect(report.stepsDone).toBe(report.stepsTotal);
      // With real databases answers come in any order; a worker that takes the run over must come to the same commands.
      await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, await run.handle.fetchHistory());
      return report;
    }

    const built = new Map<string, Promise<unknown>>();
    const once = <T>(what: string, make: () => Promise<T>): Promise<T> => {
      const made = (built.get(what) as Promise<T> | undefined) ?? make();
      built.set(what, made);
      return made;
    };

    /** A release on a fresh machine, all its ups at once in the graph's order. */
    const freshAt = (release: (typeof FRESH)[number] | typeof REWRITTEN) =>
      once(release, async () => {
        const databases = await install(`fresh-${release}`);
        await upgrade(`fresh-${release}`, release);
        return databases;
      });

    /** The same to copy from, as the product would have left it: no journal of ours, and the row that says its version. */
    const templateAt = (release: 'v7.2.0' | typeof REWRITTEN) =>
      once(`template ${release}`, async () => {
        const databases = await freshAt(release);
        await engine.close(); // `create database` wants nobody on the template
        engine = await openTestEngine({ config: configuration(), folder, env });
        open.delete(`fresh-${release}`);
        const version = release.slice(1);
        await databases.frontend.query(
          `insert into versions (service, version, first_version) values ('frontend', $1, $1)`,
          [version],
        );
        const names: Partial<Record<Name, string>> = {};
        for (const name of NAMES) {
          await databases[name].query('drop schema pgunwind cascade');
          templates.push(databases[name]);
          names[name] = await asTemplate(databases[name]);
        }
        return names as Record<Name, string>;
      });

    /** The main job. */
    const descended = () =>
      once('descended', async () => {
        const databases = await install('descent', await templateAt('v7.2.0'));
        const began = performance.now();
        const report = await downgrade('descent', 'v5.8.1579');
        console.log(`309 downs through Temporal: ${((performance.now() - began) / 1000).toFixed(1)} s`);
        return { databases, report };
      });

    async function look(database: TestDatabase) {
      return withClient(database.superuserUrl, async (client) => ({
        schema: await readFingerprint(client, { ignore: NOT_COMPARED }),
        rows: await readRows(client, ROWS_NOT_COMPARED),
      }));
    }

    /** Object by object and row by row, in all three databases: exactly the differences of final-schema.md. */
    async function expectAsAllowed(from: string, to: string, expected: Databases, found: Databases): Promise<void> {
      for (const name of NAMES) {
        const [want, have] = [await look(expected[name]), await look(found[name])];
        expect(Object.keys(have.schema.objects).length, `objects of ${name} at ${to}`).toBeGreaterThan(100);
        const allowed = allowedDifferences(from, to, name);
        expect(countOf(allowed), `summary of ${from} → ${to}, ${name}`).toBe(summaryOf(from, to, name));
        const differences = diffFingerprints(want.schema, have.schema);
        console.log(
          `${from} → ${to}, ${name}: ${differences.length} differences in ${Object.keys(have.schema.objects).length} objects`,
        );
        expect(otherThanAllowed(allowed, differences), `${from} → ${to}, ${name}`).toEqual([]);
        expect(otherRowsThanAllowed(allowed, want.rows, have.rows), `rows, ${from} → ${to}, ${name}`).toEqual([]);
      }
    }

    /** The ledgers hold exactly what releases.json says of the release. */
    async function expectAppliedSet(databases: Databases, release: string): Promise<void> {
      const golden = fixture<ReleasesFixture>('releases.json').releases.find(({ tag }) => tag === release)!;
      for (const name of NAMES) {
        const options = { key: KEYS[name], schema: 'public' };
        const reading = await withClient(databases[name].url, (client) => sourcegraphLedger.read(client, options));
        const applied = new Set(reading?.applied);
        expect(applied.size, `${release}, ${name}`).toBe(golden[name].count);
        const known = catalog.databases.find((database) => database.name === name)!;
        const ends = leaves(known.migrations.filter(({ id }) => applied.has(id))).map(Number);
        expect(
          ends.toSorted((a, b) => a - b),
          `leaves at ${release}, ${name}`,
        ).toEqual(golden[name].leaves);
        const ids = migrationIds(catalog, findRelease(catalog, release).release, name);
        expect([...applied].toSorted(), `${release}, ${name}`).toEqual([...ids].toSorted());
      }
    }

    const versionOf = async ({ frontend }: Databases) =>
      (await frontend.query<{ version: string }>(`select version from versions where service = 'frontend'`))[0]
        ?.version;

    test('the comparison sees a known difference that does not show, and one that is not known', () => {
      const allowed = allowedDifferences('v7.2.0', 'v5.8.1579', 'frontend');
      const silent = otherThanAllowed(allowed, []);
      expect(silent).toHaveLength(12);
      expect(silent.every((problem) => problem.startsWith('did not show: '))).toBe(true);
      expect(otherRowsThanAllowed(allowed, {}, {})).toHaveLength(5);

      const none = allowedDifferences('v7.2.0', 'v5.8.1579', 'codeintel');
      const strange = { object: 'table public.strange', what: 'table', kind: 'extra' } as const;
      expect(otherThanAllowed(none, [strange])).toEqual(['not allowed: table public.strange should not be there']);
      expect(otherRowsThanAllowed(none, {}, { roles: ['{"id": 1}'] })).toEqual([
        expect.stringMatching(/rows of roles not allowed: 0 expected, 1 found/),
      ]);
    });

    test('v7.2.0 is taken down to v5.8.1579 in 309 steps, and is what a fresh v5.8.1579 is but for the known differences', async () => {
      const { databases, report } = await descended();
      expect(report).toMatchObject({ from: 'v7.2.0', stepsTotal: 309, drift: {} });
      expect(report.legs).toHaveLength(19);
      expect(report.legs.every(({ closed }) => closed)).toBe(true);
      expect(report.decisions).toMatchObject([{ kind: 'approve', by: 'the corpus test' }]);
      await expectAppliedSet(databases, 'v5.8.1579');
      expect(await versionOf(databases)).toBe('5.8.0');
      await expectAsAllowed('v7.2.0', 'v5.8.1579', await freshAt('v5.8.1579'), databases);
    });

    test('the way back up to v7.2.0 completes, and the instance is clean', async () => {
      const { databases } = await descended();
      const report = await upgrade('descent', 'v7.2.0');
      expect(report).toMatchObject({ outcome: 'completed', from: 'v5.8.1579', standsAt: 'v7.2.0', stepsDone: 309 });
      await expectAppliedSet(databases, 'v7.2.0');
      expect(await versionOf(databases)).toBe('7.2.0');
      // What the journal remembers of v7.2.0 before the descent, and the round trip does not restore: final-schema.md has the
      // causes of the first two; the third comes of ups in the order of the releases: 1727490285 is of v5.9.45, 1727578688 of v5.10.0 and the first of both in a fresh graph.
      expect(report.drift).toEqual({
        frontend: [
          'table public.changesets has its columns in another order',
          'view public.batch_changes_changeset_specs_and_changesets should not be there',
        ],
        codeinsights: ['table public.tenants has its columns in another order'],
      });
      const verdicts = await engine.check({ instance: 'descent' });
      for (const name of NAMES) expect(verdicts[name]).toMatchObject({ clean: true, reasons: [] });
    });

    test('every minor goes down to the one before it, nineteen runs of one instance', async () => {
      const databases = await install('minors', await templateAt('v7.2.0'));
      const stops = catalog.releases.map(({ labels }) => catalog.labels[labels[0]!]!.label).toReversed();
      expect(stops).toHaveLength(20);
      for (const [at, to] of stops.entries()) {
        if (at === 0) continue;
        const report = await downgrade('minors', to);
        expect(report).toMatchObject({ from: stops[at - 1], to });
        expect(report.legs).toHaveLength(1);
        await expectAppliedSet(databases, to);
        if (to === 'v7.1.0') await expectAsAllowed('v7.2.0', 'v7.1.0', await freshAt('v7.1.0'), databases);
      }
      await expectAsAllowed('v7.2.0', 'v5.8.1579', await freshAt('v5.8.1579'), databases);
    });

    // With one repository the way down meets a script that no filled table can bear (final-schema.md has the cause).
    test('with one row in gitserver_repos a NOT NULL column without a default parks the run; the table mended, it goes on to the end', async () => {
      const databases = await install('filled', await templateAt('v7.2.0'));
      await databases.frontend.asSuperuser(
        `set app.current_tenant = '1'; insert into repo (name, tenant_id) values ('example.com/one', 1)`,
      );
      const rows = 'select repo_id from gitserver_repos';
      expect(await databases.frontend.asSuperuser(rows)).toHaveLength(1);
      const { plan, losses } = await engine.plan({ instance: 'filled', to: 'v6.0.0', direction: 'down', losses: true });
      expect(losses?.losses.length).toBeGreaterThan(50);
      const run = await engine.start('downgrade', { instance: 'filled', to: 'v6.0.0', acceptDataLoss: plan.id });
      const { parked } = await run.inState('needsOperator');
      expect(parked).toMatchObject([
        { database: 'frontend', migration: '1741992015', during: 'step', failure: 'StepFailed' },
      ]);
      expect(parked[0]?.message).toContain('23502');
      const [failure] = await databases.frontend.asSuperuser<{ message: string }>(
        'select message from pgunwind.failure order by id desc limit 1',
      );
      expect(failure?.message).toContain('column "shard_id" of relation "gitserver_repos" contains null values');

      await databases.frontend.asSuperuser('delete from gitserver_repos'); // the older release finds its clones again by itself
      await run.update('retryStep', { by: 'ann', why: 'gitserver_repos is filled anew by the product' });
      expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v6.0.0' });
      await expectAppliedSet(databases, 'v6.0.0');
    });

    test('v7.0.0 goes down to v6.0.0, and is what a fresh v6.0.0 is but for the known differences', async () => {
      const databases = await install('seven', await templateAt(REWRITTEN));
      const report = await downgrade('seven', 'v6.0.0');
      expect(report).toMatchObject({ from: 'v7.0.0', stepsTotal: 170 });
      await expectAppliedSet(databases, 'v6.0.0');
      await expectAsAllowed('v7.0.0', 'v6.0.0', await freshAt('v6.0.0'), databases);
    });
  },
);

/** A catalog of that release alone, with the newest text of every up. */
function inNewestTexts(catalog: Catalog, label: string): Catalog {
  const { release, labelIndex } = findRelease(catalog, label);
  const newest = (versions: readonly ScriptVersion[]) => [
    { sha256: versions.at(-1)!.sha256, carriedBy: [[0, 0] as const] },
  ];
  return {
    ...catalog,
    labels: [catalog.labels[labelIndex]!],
    releases: [{ ...release, labels: [0] }],
    databases: catalog.databases.map((database) => ({
      ...database,
      migrations: database.migrations.map((each) => ({ ...each, up: newest(each.up), down: newest(each.down) })),
    })),
  };
}

function urlOf(instance: string, database: string): string {
  return `${instance}_${database}`.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}

function configuration(): string {
  const instance = (name: string, product: string) => `  ${name}:
    product: ${product}
    databases:
${NAMES.map((database) => {
  const url = urlOf(name, database);
  return `      ${database}: { url: { env: ${url} }, privilegedUrl: { env: ${url}_PRIVILEGED } }`;
}).join('\n')}`;
  return `
products:
${['sourcegraph', ...FRESH, REWRITTEN]
  .map(
    (name) => `  ${name}:
    catalog: ./${name}
    ledger: { kind: sourcegraph }
    releaseMarker: { kind: sourcegraph, database: frontend }
    databases: ${JSON.stringify(Object.fromEntries(NAMES.map((database) => [database, { ledgerKey: KEYS[database] }])))}`,
  )
  .join('\n')}
instances:
${INSTANCES.map((name) => instance(name, 'sourcegraph')).join('\n')}
${[...FRESH, REWRITTEN].map((release) => instance(`fresh-${release}`, release)).join('\n')}
`;
}
