import { describe, expect, test } from 'vitest';
import type { CatalogDataMigration, DataHandler } from '../../../src/contract/catalog.js';
import { UnwindError } from '../../../src/contract/errors.js';
import { makeDataPlan, type DataPlanInput } from '../../../src/plan/data-plan.js';
import { planId } from '../../../src/plan/plan.js';
import { ledgerAt, sha256, smallCatalog, type SmallCatalog } from './small-catalog.js';

const shop: SmallCatalog = {
  databases: { app: { graph: { 1: [], 2: [1], 3: [2], 4: [3] } }, audit: { graph: { 1: [], 2: [1] } } },
  releases: [
    { label: 'v1', ids: { app: [1], audit: [1] } },
    { label: 'v2', ids: { app: [1, 2], audit: [1] } },
    { label: 'v3', ids: { app: [1, 2, 3], audit: [1, 2] } },
    { label: 'v4', ids: { app: [1, 2, 3, 4], audit: [1, 2] } },
  ],
};

const sql = (forward: string, reverse: string | null = 'r0'): DataHandler => ({
  kind: 'sql',
  progress: 'p0',
  forward,
  reverse,
  verifyForward: null,
  verifyReverse: null,
});

interface Ask extends Partial<DataPlanInput> {
  readonly at?: string;
  readonly data?: Partial<CatalogDataMigration>;
}

function plan({ at = 'v3', data, ...over }: Ask = {}) {
  const migration: CatalogDataMigration = {
    id: '7',
    database: 'app',
    description: 'moves 7',
    team: null,
    introduced: 'v2',
    deprecated: 'v3',
    reversal: 'reversible',
    estimatedRows: 100,
    handlers: [
      { handler: sql('f0'), carriedBy: [[1, 2]] },
      { handler: sql('f1'), carriedBy: [[3, 3]] },
    ],
    ...data,
  };
  return makeDataPlan(
    {
      catalog: { ...smallCatalog(shop), dataMigrations: [migration] },
      catalogHash: 'c0',
      id: '7',
      direction: 'forward',
      databases: ['app', 'audit'],
      ledger: ledgerAt(shop, at),
      ...over,
    },
    sha256,
  );
}

function refusal(ask: Ask): { type: string; message: string } {
  try {
    plan(ask);
  } catch (error) {
    if (error instanceof UnwindError) return error;
    throw error;
  }
  throw new Error('a plan was made');
}

describe('a data migration by itself', () => {
  test('is a plan of one leg of its own database, at the release that stands, without a schema step', () => {
    const made = plan();
    expect(made).toMatchObject({
      direction: 'up',
      from: { release: 'v3' },
      to: { release: 'v3' },
      databases: ['app'],
      legs: [{ release: 'v3', steps: { app: [] }, data: [{ id: '7', act: 'forward', estimatedRows: 100 }] }],
    });
    expect(Object.keys(made.legs[0]!.setHash)).toEqual(['app']);
    expect(made.id).toBe(planId(made, sha256));
    expect(plan()).toEqual(made);
  });

  test('runs forward what the release that stands carries, and back the newest definition, as the plan of a way does', () => {
    expect(plan().legs[0]!.data![0]!.handler).toEqual(sql('f0'));
    const back = plan({ direction: 'reverse', at: 'v2' });
    expect(back).toMatchObject({ direction: 'down', legs: [{ data: [{ act: 'reverse', direction: 'reverse' }] }] });
    expect(back.legs[0]!.data![0]!.handler).toEqual(sql('f1'));
  });

  test.each(['v2', 'v3'])('runs at both ends of its window: %s', (at) => {
    expect(plan({ at }).to.release).toBe(at);
  });

  test.each(['v1', 'v4'])('is refused outside its window: %s', (at) => {
    const { type, message } = refusal({ at });
    expect(type).toBe('DataNotRunnable');
    expect(message).toContain(
      `app data migration 7 (moves 7) cannot be run at ${at}, where the instance stands: its queries are for the schema of other ` +
        'releases (introduced v2, deprecated v3). Nothing was changed.',
    );
  });

  test('that is never deprecated runs at every release from the one that introduces it', () => {
    expect(plan({ at: 'v4', data: { deprecated: null } }).to.release).toBe('v4');
  });

  test('is refused between releases, and where another database stands elsewhere', () => {
    const { app, audit } = ledgerAt(shop, 'v3');
    const other = ledgerAt(shop, 'v2');
    const ledger = { app: app!, audit: other['audit']! };
    expect(audit).not.toEqual(ledger.audit);
    expect(refusal({ ledger })).toMatchObject({
      type: 'DataNotRunnable',
      message: expect.stringContaining('between releases') as string,
    });
  });

  test('of an id that nobody knows is refused, with the nearest; so is one of a database that the instance does not have', () => {
    expect(refusal({ id: '77' })).toMatchObject({
      type: 'UnknownDataMigration',
      message: expect.stringContaining('no data migration "77". Nearest: 7') as string,
    });
    expect(refusal({ data: { database: 'events' } }).message).toContain('no data migration "7", nor any other');
  });

  test.each([
    ['irreversible', 'r0', /cannot be reversed/],
    ['notNeeded', null, /need not be reversed, and has no reverse/],
  ] as const)('that is %s is refused on the way back, and goes forward', (reversal, reverse, words) => {
    const data = { reversal, handlers: [{ handler: sql('f0', reverse), carriedBy: [[1, 3] as const] }] };
    expect(plan({ data }).direction).toBe('up');
    const { type, message } = refusal({ direction: 'reverse', data });
    expect(type).toBe('DataNotRunnable');
    expect(message).toMatch(words);
  });

  test('that need not be reversed, and has a reverse all the same, goes back', () => {
    expect(plan({ direction: 'reverse', at: 'v2', data: { reversal: 'notNeeded' } }).direction).toBe('down');
  });

  test('is refused on the way back at the release that deprecates it, which finds it dirty unless it is done', () => {
    const { type, message } = refusal({ direction: 'reverse', at: 'v3' });
    expect(type).toBe('DataNotRunnable');
    expect(message).toContain('that release deprecates it, and nothing there reads the older form');
    expect(plan({ direction: 'reverse', at: 'v3', data: { deprecated: null } }).direction).toBe('down');
  });
});
