import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { repository } from '../../support/shared.js';
import { openBench, type Bench, type TemporalAddress } from './bench.js';
import { columns } from './points.js';
import { runRow, type CellOutcome, type Row } from './row.js';

/** Servers that a row has for itself: its fault is theirs. */
export interface RowServers {
  readonly temporal: TemporalAddress;
  close(): Promise<void>;
}

export type RowDefinition = Row & {
  /** A Temporal server for this row alone; the shared one without it. */
  readonly ownTemporal?: () => Promise<RowServers>;
  /** A Postgres for this row alone. */
  readonly ownPostgres?: () => Promise<Bench>;
};

/** Seconds: nineteen runs to their points on two busy cores, the fault, and the way to the end. */
const ROW_WITHIN_MS = 240_000;

/** One test for each cell. A row's fault strikes all its cells at once, before the first of its tests. */
export function defineRows(definitions: readonly RowDefinition[]): void {
  let shared: Bench | null = null;
  beforeAll(async () => {
    const { build } = (await import(pathToFileURL(path.join(repository, 'scripts', 'build.mjs')).href)) as {
      build: () => Promise<boolean>;
    };
    await build();
    if (definitions.some((definition) => definition.ownPostgres === undefined)) shared = await openBench();
  });
  afterAll(async () => shared?.close());

  describe.each(definitions)('$name', (definition) => {
    let outcomes: readonly CellOutcome[] = [];
    beforeAll(async () => {
      const bench = definition.ownPostgres === undefined ? (shared as Bench) : await definition.ownPostgres();
      const own = (await definition.ownTemporal?.()) ?? null;
      try {
        outcomes = await runRow(bench, own?.temporal ?? inject('temporal'), definition);
        report(definition.name, definitions.indexOf(definition), outcomes);
      } finally {
        await own?.close();
        if (bench !== shared) await bench.close();
      }
    }, ROW_WITHIN_MS);

    test.each(columns().map(({ name }) => name))('%s', (column) => {
      const outcome = outcomes.find((it) => it.column === column);
      expect(outcome?.red, 'what is wrong').toEqual([]);
      expect(outcome?.recoveryMs, 'the journal went forward, or a question was asked, after the fault').not.toBeNull();
    });
  });
}

/** For scripts/test-crash.mjs, which makes docs/crash-matrix.md of it. */
function report(name: string, at: number, outcomes: readonly CellOutcome[]): void {
  const folder = process.env['PG_UNWIND_CRASH_REPORT'];
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  const file = path.basename(expect.getState().testPath ?? '', '.test.ts');
  writeFileSync(path.join(folder, `${file}-${at}.json`), JSON.stringify({ row: name, file, at, outcomes }));
}
