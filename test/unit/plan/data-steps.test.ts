import { describe, expect, test } from 'vitest';
import type { CatalogDataMigration, DataHandler } from '../../../src/contract/catalog.js';
import type { Plan } from '../../../src/contract/plan.js';
import { minorLabel, versionRange } from '../../../src/catalog/version.js';
import { UnwindError } from '../../../src/contract/errors.js';
import { makePlan, planId, type PlanInput } from '../../../src/plan/plan.js';
import { countSteps, dataSteps } from '../../../src/plan/report.js';
import { fixture, missingFixtures } from '../../support/shared.js';
import { ledgerAt, sha256, smallCatalog, type SmallCatalog } from './small-catalog.js';

/** `app` grows by one migration per release, `audit` with v3; v2.1 has the schema of v2. */
const shop: SmallCatalog = {
  databases: { app: { graph: { 1: [], 2: [1], 3: [2], 4: [3], 5: [4] } }, audit: { graph: { 1: [], 2: [1] } } },
  releases: [
    { label: 'v1', ids: { app: [1], audit: [1] } },
    { label: 'v2', ids: { app: [1, 2], audit: [1] } },
    { label: 'v2.1', ids: { app: [1, 2], audit: [1] } },
    { label: 'v3', ids: { app: [1, 2, 3], audit: [1, 2] } },
    { label: 'v4', ids: { app: [1, 2, 3, 4], audit: [1, 2] } },
    { label: 'v5', ids: { app: [1, 2, 3, 4, 5], audit: [1, 2] } },
  ],
};
const LAST = shop.releases.length - 1;

const sql: DataHandler = {
  kind: 'sql',
  progress: 'p0',
  forward: 'f0',
  reverse: 'r0',
  verifyForward: null,
  verifyReverse: null,
};
const activity: DataHandler = { kind: 'activity', taskQueue: 'shop-data', type: 'encrypt', exactlyOnce: false };

type Wanted = Partial<CatalogDataMigration> & Pick<CatalogDataMigration, 'id' | 'introduced'>;

const dataMigration = (over: Wanted): CatalogDataMigration => ({
  database: 'app',
  description: `moves ${over.id}`,
  team: null,
  deprecated: null,
  reversal: 'reversible',
  estimatedRows: null,
  handlers: [{ handler: sql, carriedBy: [[0, LAST]] }],
  ...over,
});

interface Ask extends Partial<PlanInput> {
  readonly small?: SmallCatalog;
  readonly data: readonly Wanted[];
  readonly from?: string;
  readonly target: string;
}

function plan({ small = shop, data, from = 'v5', ...over }: Ask): Plan {
  const dataMigrations = data.map(dataMigration);
  const catalog = { ...smallCatalog(small), ...(data.length > 0 ? { dataMigrations } : {}) };
  return makePlan(
    {
      catalog,
      catalogHash: 'c0',
      direction: 'down',
      databases: Object.keys(small.databases),
      ledger: ledgerAt(small, from),
      ...over,
    },
    sha256,
  );
}

function refusal(ask: Ask): UnwindError {
  try {
    plan(ask);
  } catch (error) {
    if (error instanceof UnwindError) return error;
    throw error;
  }
  throw new Error('a plan was made');
}

/** `[release, schema steps, data]` by leg. */
const way = (made: Plan) =>
  made.legs.map((leg, index) => [
    leg.release,
    countSteps(made).legs[index]!.total,
    (leg.data ?? []).map(({ id, act }) => `${id} ${act}`),
  ]);

describe('down', () => {
  test('a data migration is undone on the schema of the release that introduced it', () => {
    const down = plan({ target: 'v1', data: [{ id: '7', introduced: 'v3', deprecated: 'v5', estimatedRows: 100 }] });
    expect(way(down)).toEqual([
      ['v4', 1, []],
      ['v3', 1, ['7 reverse']],
      ['v2', 2, []],
      ['v1', 1, []],
    ]);
    expect(dataSteps(down)).toEqual([
      {
        leg: 1,
        step: {
          id: '7',
          database: 'app',
          description: 'moves 7',
          direction: 'reverse',
          introduced: 'v3',
          deprecated: 'v5',
          act: 'reverse',
          handler: sql,
          estimatedRows: 100,
        },
      },
    ]);
    expect(down.warnings).toEqual([]);
  });

  test('what the target introduced is undone at the target, for an earlier label of it may not know it', () => {
    const down = plan({ target: 'v2', data: [{ id: '7', introduced: 'v2.1' }] });
    expect(way(down).at(-1)).toEqual(['v2', 2, ['7 reverse']]);
    expect(down.legs.at(-1)!.data![0]!.introduced).toBe('v2.1');
  });

  test('what the target knew before stays as it is', () => {
    expect(dataSteps(plan({ target: 'v3', data: [{ id: '7', introduced: 'v2' }] }))).toEqual([]);
    const done = { id: '8', introduced: 'v2', deprecated: 'v3' };
    expect(dataSteps(plan({ target: 'v3', data: [done] }))).toEqual([]);
    // Both labels are the target's: it reads nothing but the newer form.
    const both = { id: '9', introduced: 'v2', deprecated: 'v2.1' };
    expect(dataSteps(plan({ target: 'v2', data: [both] }))).toEqual([]);
  });

  test('what the start itself introduced is undone before the first schema step, in a leg of the start', () => {
    const down = plan({
      target: 'v3',
      data: [
        { id: '7', introduced: 'v5' },
        { id: '8', introduced: 'v4' },
      ],
    });
    expect(way(down)).toEqual([
      ['v5', 0, ['7 reverse']],
      ['v4', 1, ['8 reverse']], // not drawn to the start
      ['v3', 1, []],
    ]);
    expect(down.legs[0]!.setHash).toEqual(down.from.setHash);
    expect(down.legs[0]!.steps).toEqual({ app: [], audit: [] });
  });

  test('what is introduced above the start takes no part: the instance never stood there', () => {
    expect(dataSteps(plan({ from: 'v4', target: 'v2', data: [{ id: '7', introduced: 'v5' }] }))).toEqual([]);
  });

  test('nothing is undone where the instance stands at the target', () => {
    expect(plan({ target: 'v5', data: [{ id: '7', introduced: 'v5' }] }).legs).toEqual([]);
  });

  test('two that overlap share a stop and are undone in the reverse order of their introduction', () => {
    const down = plan({
      target: 'v1',
      data: [
        { id: '7', introduced: 'v2' },
        { id: '8', introduced: 'v3' },
        { id: '9', introduced: 'v3' },
        { id: '10', introduced: 'v3', database: 'audit' },
      ],
    });
    expect(way(down).find(([release]) => release === 'v3')).toEqual([
      'v3',
      1,
      ['9 reverse', '8 reverse', '7 reverse', '10 reverse'],
    ]);
  });

  test('one that need not go back is left and said so; one that cannot is called lost', () => {
    const down = plan({
      target: 'v1',
      data: [
        { id: '7', introduced: 'v3', reversal: 'notNeeded' },
        { id: '8', introduced: 'v2', reversal: 'irreversible', deprecated: 'v3' },
      ],
    });
    expect(way(down)).toEqual([
      ['v4', 1, []],
      ['v3', 1, ['7 leave']],
      ['v2', 2, ['8 lose']],
      ['v1', 1, []],
    ]);
    expect(down.warnings).toMatchObject([
      {
        code: 'left',
        database: 'app',
        migration: '7',
        text: expect.stringContaining('app data migration 7 (moves 7)'),
      },
    ]);
  });

  test('nothing that only is left or lost makes a leg of the start', () => {
    const data = [
      { id: '7', introduced: 'v5', reversal: 'notNeeded' },
      { id: '8', introduced: 'v5', reversal: 'irreversible' },
    ] as const;
    expect(way(plan({ target: 'v4', data }))).toEqual([['v4', 1, ['8 lose', '7 leave']]]);
  });

  test('the newest definition runs', () => {
    const handlers = [
      { handler: activity, carriedBy: [[0, 3]] },
      { handler: sql, carriedBy: [[4, LAST]] },
    ] as const;
    const down = plan({ target: 'v1', data: [{ id: '7', introduced: 'v3', handlers }] });
    expect(dataSteps(down)[0]!.step.handler).toEqual(sql);
  });
});

describe('up', () => {
  const up = (ask: Ask) => plan({ direction: 'up', from: 'v1', ...ask });

  test('a data migration is finished on the schema of the release before the one that deprecates it', () => {
    const data = [{ id: '7', introduced: 'v2', deprecated: 'v5' }];
    expect(way(up({ target: 'v5', data }))).toEqual([
      ['v2', 1, []],
      ['v3', 2, []],
      ['v4', 1, ['7 forward']],
      ['v5', 1, []],
    ]);
  });

  test('when that is the start, the plan begins with a leg of the start that has no schema step', () => {
    const made = up({ target: 'v3', from: 'v2', data: [{ id: '7', introduced: 'v1', deprecated: 'v3' }] });
    expect(way(made)).toEqual([
      ['v2', 0, ['7 forward']],
      ['v3', 2, []],
    ]);
    expect(made.legs[0]).toMatchObject({ aliases: ['v2.1'], setHash: made.from.setHash });
    expect(made.legs[1]!.steps['app']![0]!.seq).toBe(1);
  });

  test('what the target does not deprecate, or the start deprecates already, has time or is done', () => {
    const data = [
      { id: '7', introduced: 'v2' },
      { id: '8', introduced: 'v1', deprecated: 'v2' },
      { id: '9', introduced: 'v2', deprecated: 'v5' },
    ];
    expect(dataSteps(up({ from: 'v2', target: 'v4', data }))).toEqual([]);
  });

  test('those of one stop run as they were introduced', () => {
    const data = [
      { id: '7', introduced: 'v3', deprecated: 'v5' },
      { id: '8', introduced: 'v2', deprecated: 'v5' },
    ];
    expect(dataSteps(up({ target: 'v5', data })).map(({ step }) => step.id)).toEqual(['8', '7']);
  });

  test('the definition of the target runs, and where it lists none the newest', () => {
    const handlers = [
      { handler: activity, carriedBy: [[1, 3]] },
      { handler: sql, carriedBy: [[4, 4]] },
    ] as const;
    const data = [{ id: '7', introduced: 'v1', deprecated: 'v3', handlers }];
    expect(dataSteps(up({ target: 'v3', data }))[0]!.step.handler).toEqual(activity);
    expect(dataSteps(up({ target: 'v5', data }))[0]!.step.handler).toEqual(sql);
  });

  test('an activity that does not record its batches is said to be repeated; one that does is not', () => {
    const data = (exactlyOnce: boolean) => [
      {
        id: '7',
        introduced: 'v1',
        deprecated: 'v3',
        handlers: [{ handler: { ...activity, exactlyOnce }, carriedBy: [[0, LAST] as const] }],
      },
    ];
    expect(up({ target: 'v3', data: data(false) }).warnings).toMatchObject([{ code: 'idempotent', migration: '7' }]);
    expect(up({ target: 'v3', data: data(true) }).warnings).toEqual([]);
  });
});

describe('labels beside the way', () => {
  /** v3-lts is not nested with v2 and v3: the way from v4 to v1 leaves it out. */
  const forked: SmallCatalog = {
    databases: { app: { graph: { 1: [], 2: [1], 3: [2], 4: [1], 5: [3, 4] } } },
    releases: [
      { label: 'v1', ids: { app: [1] } },
      { label: 'v2', ids: { app: [1, 2] } },
      { label: 'v3', ids: { app: [1, 2, 3] } },
      { label: 'v3-lts', ids: { app: [1, 4] } },
      { label: 'v4', ids: { app: [1, 2, 3, 4, 5] } },
    ],
  };

  test('down, what a release beside the way introduced is undone at the smallest release of the way above it', () => {
    const down = plan({ small: forked, from: 'v4', target: 'v1', data: [{ id: '7', introduced: 'v3-lts' }] });
    expect(way(down)).toEqual([
      ['v4', 0, ['7 reverse']],
      ['v3', 2, []],
      ['v2', 1, []],
      ['v1', 1, []],
    ]);
  });

  test('up, what a release beside the way deprecates is finished before the smallest release of the way above it', () => {
    const data = [{ id: '7', introduced: 'v1', deprecated: 'v3-lts' }];
    const up = plan({ small: forked, direction: 'up', from: 'v1', target: 'v4', data });
    expect(dataSteps(up).map(({ leg }) => up.legs[leg]!.release)).toEqual(['v3']);
  });

  test('a window that lies between two stops is refused with what to do', () => {
    const data = [
      { id: '7', introduced: 'v3-lts', deprecated: 'v3-lts', description: 'Encrypts' },
      { id: '8', introduced: 'v2' },
    ];
    const refused = refusal({ small: forked, from: 'v4', target: 'v1', data });
    expect(refused.type).toBe('TargetNotReachable');
    expect(refused.message).toContain('app data migration 7 (Encrypts): introduced v3-lts, deprecated v3-lts\n');
    expect(refused.message).toContain('The stops are: v3, v2, v1. Nothing was changed. Choose a target');
    expect(refused.details).toMatchObject({
      direction: 'down',
      release: 'v1',
      dataMigrations: [{ id: '7', database: 'app', introduced: 'v3-lts', deprecated: 'v3-lts' }],
    });
  });

  test('a window without a stop is no matter where nothing has to run', () => {
    const data = [
      { id: '7', introduced: 'v3-lts', deprecated: 'v3-lts', reversal: 'notNeeded' },
      { id: '8', introduced: 'v3-lts', deprecated: 'v3-lts', reversal: 'irreversible' },
    ] as const;
    expect(way(plan({ small: forked, from: 'v4', target: 'v1', data }))[0]).toEqual(['v3', 2, ['8 lose', '7 leave']]);
  });
});

describe('between releases', () => {
  const between = { ...ledgerAt(shop, 'v3'), audit: { applied: ['1'], absent: ['2'] } };

  test('down, what the next release below introduced is undone there, and the one that was never reached is not', () => {
    const data = [
      { id: '7', introduced: 'v2' },
      { id: '8', introduced: 'v3' },
    ];
    expect(way(plan({ ledger: between, target: 'v1', data }))).toEqual([
      ['v2', 1, ['7 reverse']],
      ['v1', 1, []],
    ]);
  });

  test('up, what should have run below runs at the next release, which deprecates it, and the plan says so', () => {
    const data = [{ id: '7', introduced: 'v1', deprecated: 'v3' }];
    const up = plan({ direction: 'up', ledger: between, target: 'v4', data });
    expect(way(up)).toEqual([
      ['v3', 1, ['7 forward']],
      ['v4', 1, []],
    ]);
    expect(up.warnings).toMatchObject([{ code: 'late', migration: '7', text: expect.stringContaining('"v3"') }]);
  });

  test('a window in which the instance stands, but no release of the way, is refused with the release to go to first', () => {
    const small: SmallCatalog = {
      databases: { app: { graph: { 1: [], 2: [1], 3: [1], 4: [2, 3] } } },
      releases: [
        { label: 'v1', ids: { app: [1] } },
        { label: 'v2', ids: { app: [1, 2] } },
        { label: 'v2-lts', ids: { app: [1, 3] } },
        { label: 'v3', ids: { app: [1, 2, 3, 4] } },
      ],
    };
    const ledger = { app: { applied: ['1', '2', '3'], absent: [] } };
    const down = refusal({ small, from: 'v3', ledger, target: 'v1', data: [{ id: '7', introduced: 'v2-lts' }] });
    expect(down.message).toContain('take it to "v3" ("pg-unwind upgrade") and plan again from there');
  });
});

interface GoldenCase {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly dataMigrations: readonly { id: number; introduced: string; deprecated: string | null }[];
  readonly interrupts: readonly { version: string; ids: readonly number[] }[];
}
type Golden = Readonly<Record<'up' | 'down' | 'downNeverDeprecated', readonly GoldenCase[]>>;

const missing = missingFixtures();
const golden = missing === null ? fixture<Golden>('data-migration-schedule.json') : null;

describe.skipIf(missing !== null)(
  `the golden cases of data-migration-schedule.json, as plans${missing === null ? '' : `: skipped, ${missing}`}`,
  () => {
    const minors = versionRange({ major: 3, minor: 0 }, { major: 5, minor: 9 }, { 3: 44, 4: 5 })!.map(minorLabel);
    const ids = minors.map((_, index) => index + 1);
    const small: SmallCatalog = {
      databases: { app: { graph: Object.fromEntries(ids.map((id) => [id, id === 1 ? [] : [id - 1]])) } },
      releases: minors.map((label, index) => ({ label: `v${label}`, ids: { app: ids.slice(0, index + 1) } })),
    };
    const interrupts = (direction: 'up' | 'down', { from, to, dataMigrations }: GoldenCase) => {
      const data = dataMigrations.map(({ id, ...labels }) => ({ id: String(id), ...labels }));
      const made = plan({ small, direction, from: `v${from}`, target: to, data });
      return made.legs.flatMap(({ release, data: here }) =>
        here === undefined
          ? []
          : [{ version: release.slice(1), ids: here.map(({ id }) => Number(id)).toSorted((a, b) => a - b) }],
      );
    };

    test.each(golden?.up ?? [])('up, $name', (it) => {
      expect(interrupts('up', it)).toEqual(it.interrupts);
    });

    test.each([...(golden?.down ?? []), ...(golden?.downNeverDeprecated ?? [])])('down, $name', (it) => {
      // Beyond the golden rules: what the start itself introduced is undone first.
      const ofStart = it.dataMigrations.filter(({ introduced }) => introduced === it.from).map(({ id }) => id);
      const first = ofStart.length > 0 ? [{ version: it.from, ids: ofStart }] : [];
      expect(interrupts('down', it)).toEqual([...first, ...it.interrupts]);
    });
  },
);

describe('the plan as a whole', () => {
  test('data migrations of databases that the instance does not have are left out', () => {
    const data = [
      { id: '7', introduced: 'v3' },
      { id: '8', introduced: 'v3', database: 'audit' },
    ];
    const down = plan({ target: 'v1', databases: ['audit'], data });
    expect(dataSteps(down).map(({ step }) => step.id)).toEqual(['8']);
  });

  test('a leg without data migrations has no such key, and a plan without any keeps its id', () => {
    const without = plan({ target: 'v1', data: [] });
    const notOnTheWay = plan({ from: 'v4', target: 'v1', data: [{ id: '7', introduced: 'v5' }] });
    expect(without.legs.some((leg) => 'data' in leg)).toBe(false);
    expect(notOnTheWay).toEqual(plan({ from: 'v4', target: 'v1', data: [] }));
    // As it was before there were data migrations.
    expect(without.id).toBe('eadfea9a79ad97fc7c5ab22b246b9a3097a60c013d65bb0685d4bcb58fab0b35');
  });

  test('the id covers the data migrations', () => {
    const made = plan({ target: 'v1', data: [{ id: '7', introduced: 'v3' }] });
    expect(made.id).toBe(planId(made, sha256));
    expect(made.id).not.toBe(plan({ target: 'v1', data: [] }).id);
    expect(made.id).not.toBe(plan({ target: 'v1', data: [{ id: '7', introduced: 'v2' }] }).id);
  });
});
