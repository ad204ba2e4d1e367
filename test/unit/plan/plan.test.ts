import { describe, expect, test } from 'vitest';
import type { Plan } from '../../../src/contract/plan.js';
import { UnwindError } from '../../../src/contract/errors.js';
import { makePlan, planId, type PlanInput } from '../../../src/plan/plan.js';
import { ledgerAt, sha256, smallCatalog, type SmallCatalog } from './small-catalog.js';

/** 1 ← 2 ← 3 ← 4 in `app`, 1 ← 2 in `audit`; a release per migration of `app`. */
const shop: SmallCatalog = {
  databases: { app: { graph: { 1: [], 2: [1], 3: [2], 4: [3] } }, audit: { graph: { 1: [], 2: [1] } } },
  releases: [
    { label: 'v1.0', ids: { app: [1], audit: [1] } },
    { label: 'v1.1', ids: { app: [1, 2], audit: [1] } },
    { label: 'v1.1.1', ids: { app: [1, 2], audit: [1] } },
    { label: 'v1.2', ids: { app: [1, 2, 3], audit: [1, 2] } },
    { label: 'v1.3', ids: { app: [1, 2, 3, 4], audit: [1, 2] } },
  ],
};

function plan(small: SmallCatalog, over: Partial<PlanInput> & Pick<PlanInput, 'target' | 'ledger'>): Plan {
  const databases = Object.keys(small.databases);
  return makePlan({ catalog: smallCatalog(small), catalogHash: 'c0', direction: 'down', databases, ...over }, sha256);
}

function refusal(make: () => Plan): UnwindError {
  try {
    make();
  } catch (error) {
    if (error instanceof UnwindError) return error;
    throw error;
  }
  throw new Error('a plan was made');
}

const way = ({ legs }: Plan) =>
  legs.map(({ release, steps }) => [
    release,
    Object.fromEntries(Object.entries(steps).map(([name, list]) => [name, list.map(({ migration }) => migration)])),
  ]);

describe('legs', () => {
  test('each release on the way down is a leg, and the databases meet at its end', () => {
    const down = plan(shop, { target: 'v1.0', ledger: ledgerAt(shop, 'v1.3') });
    expect(way(down)).toEqual([
      ['v1.2', { app: ['4'], audit: [] }],
      ['v1.1', { app: ['3'], audit: ['2'] }],
      ['v1.0', { app: ['2'], audit: [] }],
    ]);
    expect(down.legs[1]!.aliases).toEqual(['v1.1.1']);
    expect(down.from).toEqual({ release: 'v1.3', setHash: { app: sha256('1,2,3,4'), audit: sha256('1,2') } });
    expect(down.legs.at(-1)!.setHash).toEqual({ app: sha256('1'), audit: sha256('1') });
    expect(down.legs.map(({ steps }) => steps['app']!.map(({ seq }) => seq))).toEqual([[1], [2], [3]]);
  });

  test('the way up has the same releases in the other order', () => {
    const up = plan(shop, { direction: 'up', target: 'v1.3', ledger: ledgerAt(shop, 'v1.0') });
    expect(way(up)).toEqual([
      ['v1.1', { app: ['2'], audit: [] }],
      ['v1.2', { app: ['3'], audit: ['2'] }],
      ['v1.3', { app: ['4'], audit: [] }],
    ]);
    expect(up.legs[0]!.steps['app']![0]!.ledger).toBe('absent');
  });

  test('the target is shown under the label that was typed, with the others as aliases', () => {
    const down = plan(shop, { target: 'v1.1.1', ledger: ledgerAt(shop, 'v1.3') });
    expect(down.to).toEqual({ release: 'v1.1.1', aliases: ['v1.1'] });
    expect(down.legs.at(-1)).toMatchObject({ release: 'v1.1.1', aliases: ['v1.1'] });
  });

  test('an instance that stands at the target has a plan without legs', () => {
    const down = plan(shop, { target: 'v1.1', ledger: ledgerAt(shop, 'v1.1.1') });
    expect(down.legs).toEqual([]);
    expect(down.from.release).toBe('v1.1');
  });

  test('databases that stand at different releases are brought together by the first leg', () => {
    const ledger = { ...ledgerAt(shop, 'v1.3'), audit: { applied: ['1'], absent: ['2'] } };
    const down = plan(shop, { target: 'v1.0', ledger });
    expect(down.from.release).toBeNull();
    expect(way(down)).toEqual([
      ['v1.1', { app: ['4', '3'], audit: [] }],
      ['v1.0', { app: ['2'], audit: [] }],
    ]);
  });

  test('releases that differ only in a database which the instance lacks are one release', () => {
    const down = plan(shop, { target: 'v1.0', databases: ['audit'], ledger: ledgerAt(shop, 'v1.3') });
    expect(down.from.release).toBe('v1.2');
    expect(way(down)).toEqual([['v1.0', { audit: ['2'] }]]);
    expect(down.to.aliases).toEqual(['v1.1', 'v1.1.1']);
  });

  test('of releases that are not nested the longest chain is kept, and the others are named', () => {
    const forked: SmallCatalog = {
      databases: { app: { graph: { 1: [], 2: [1], 3: [1], 4: [2], 5: [1], 6: [3, 4, 5] } } },
      releases: [
        { label: 'v1', ids: { app: [1] } },
        { label: 'v2', ids: { app: [1, 2] } },
        { label: 'v2-lts', ids: { app: [1, 3, 5] } },
        { label: 'v3', ids: { app: [1, 2, 4] } },
        { label: 'v4', ids: { app: [1, 2, 3, 4, 5, 6] } },
      ],
    };
    const down = plan(forked, { target: 'v1', ledger: ledgerAt(forked, 'v4') });
    expect(down.legs.map(({ release }) => release)).toEqual(['v3', 'v2', 'v1']);
    expect(down.notNested).toEqual(['v2-lts']);
    expect(down.warnings).toMatchObject([
      { code: 'notNested', database: null, text: expect.stringContaining('v2-lts') },
    ]);
    const up = plan(forked, { direction: 'up', target: 'v4', ledger: ledgerAt(forked, 'v1') });
    expect(up.legs.map(({ release }) => release)).toEqual(['v2', 'v3', 'v4']);
  });

  test('of two chains of one length, the one through the larger release is kept, then the one with the earlier label', () => {
    const twin = (left: number[], right: number[]): SmallCatalog => ({
      databases: { app: { graph: { 1: [], 2: [1], 3: [1], 4: [2] } } },
      releases: [
        { label: 'v1', ids: { app: [1] } },
        { label: 'left', ids: { app: left } },
        { label: 'right', ids: { app: right } },
        { label: 'v2', ids: { app: [1, 2, 3, 4] } },
      ],
    });
    const larger = twin([1, 3], [1, 2, 4]);
    expect(plan(larger, { target: 'v1', ledger: ledgerAt(larger, 'v2') }).legs[0]!.release).toBe('right');
    const even = twin([1, 3], [1, 2]);
    expect(plan(even, { target: 'v1', ledger: ledgerAt(even, 'v2') }).legs[0]!.release).toBe('left');
  });
});

describe('ledgers', () => {
  /** 3 is a squashed root that stands for 1 and 2; 4 came later. */
  const squashed: SmallCatalog = {
    databases: { app: { graph: { 1: [], 2: [1], 3: [2], 4: [3] }, squashRoots: ['3'] } },
    releases: [
      { label: 'v1', ids: { app: [1] } },
      { label: 'v2', ids: { app: [1, 2, 3] } },
      { label: 'v3', ids: { app: [1, 2, 3, 4] } },
    ],
  };

  test('an instance born after a squash has the ancestors of its root, and the plan says which rows are missing', () => {
    const down = plan(squashed, { target: 'v1', ledger: { app: { applied: ['3', '4'], absent: [] } } });
    expect(down.from.release).toBe('v3');
    expect(down.legs.flatMap(({ steps }) => steps['app']!.map((s) => [s.migration, s.ledger]))).toEqual([
      ['4', 'row'],
      ['3', 'row'],
      ['2', 'implied'],
    ]);
    expect(down.warnings).toMatchObject([{ code: 'implied', migration: '2' }]);
  });

  test('an upgrade does not apply what a squashed root stands for', () => {
    const up = plan(squashed, { direction: 'up', target: 'v3', ledger: { app: { applied: ['3'], absent: [] } } });
    expect(up.from.release).toBe('v2');
    expect(up.legs.flatMap(({ steps }) => steps['app']!.map((s) => s.migration))).toEqual(['4']);
  });

  test('what the ledger says was undone is not implied', () => {
    const ledger = { app: { applied: ['3', '4'], absent: ['2'] } };
    const down = plan(squashed, { target: 'v1', ledger });
    expect(down.legs.flatMap(({ steps }) => steps['app']!.map((s) => s.migration))).toEqual(['4', '3']);
  });

  test('ids that no release knows are refused, all of them and in every database', () => {
    const ledger = { app: { applied: ['1', '77', '78'], absent: ['99'] }, audit: { applied: ['1', '79'], absent: [] } };
    const error = refusal(() => plan(shop, { target: 'v1.0', ledger }));
    expect(error.type).toBe('UnknownMigration');
    expect(error.details).toEqual({ unknown: { app: ['77', '78'], audit: ['79'] } });
    expect(error.message).toMatch(/"app": 77, 78; "audit": 79.*Build a catalog/);
  });
});

describe('targets', () => {
  test('an unknown label is answered with those that may have been meant', () => {
    const error = refusal(() => plan(shop, { target: 'v1.4', ledger: ledgerAt(shop, 'v1.3') }));
    expect(error.type).toBe('UnknownRelease');
    expect(error.message).toContain('"v1.4"');
    expect(error.details['nearest']).toContain('v1.0');
  });

  test('a label typed without its v gives the same plan', () => {
    const ledger = ledgerAt(shop, 'v1.3');
    expect(plan(shop, { target: '1.1', ledger })).toEqual(plan(shop, { target: 'v1.1', ledger }));
  });

  test('a target above is refused going down, with what is missing where, and the other direction is offered', () => {
    const error = refusal(() => plan(shop, { target: 'v1.3', ledger: ledgerAt(shop, 'v1.1') }));
    expect(error.type).toBe('TargetNotReachable');
    expect(error.details).toMatchObject({
      missing: { app: ['3', '4'], audit: ['2'] },
      surplus: {},
      instead: 'upgrade',
    });
    expect(error.message).toContain('"app" 2 (3, 4), "audit" 1 (2)');
    expect(error.message).toContain('Nothing was changed.');
    expect(error.message).toContain('pg-unwind upgrade');
  });

  test('a target below is refused going up', () => {
    const error = refusal(() => plan(shop, { direction: 'up', target: 'v1.0', ledger: ledgerAt(shop, 'v1.1') }));
    expect(error.details).toMatchObject({ surplus: { app: ['2'] }, missing: {}, instead: 'downgrade' });
    expect(error.details['reachable']).toEqual(['v1.2', 'v1.3']);
  });

  test('where neither direction leads there, the nearest releases that can be reached are named', () => {
    const ledger = { app: { applied: ['1', '2', '3'], absent: [] }, audit: { applied: ['1'], absent: [] } };
    const error = refusal(() => plan(shop, { target: 'v1.3', ledger }));
    expect(error.details).toMatchObject({ instead: 'upgrade' });
    const mixed = { app: { applied: ['1', '2', '3', '4'], absent: [] }, audit: { applied: ['1'], absent: [] } };
    const stuck = refusal(() => plan(shop, { target: 'v1.2', ledger: mixed }));
    expect(stuck.details).toMatchObject({ instead: null, reachable: ['v1.1', 'v1.0'] });
  });

  test('a database that the catalog does not have is refused by name', () => {
    const error = refusal(() =>
      plan(shop, { target: 'v1.0', databases: ['app', 'blobs'], ledger: ledgerAt(shop, 'v1.3') }),
    );
    expect(error).toMatchObject({ type: 'InvalidInput', details: { unknown: ['blobs'], known: ['app', 'audit'] } });
  });
});

describe('scripts', () => {
  const edited: SmallCatalog = {
    databases: { app: { graph: { 1: [], 2: [1], 3: [2] } } },
    releases: [
      { label: 'v1', ids: { app: [1] } },
      { label: 'v2', ids: { app: [1, 2] } },
      { label: 'v3', ids: { app: [1, 2, 3] } },
      { label: 'v4', ids: { app: [1, 2, 3] } },
    ],
    texts: {
      'app 2 down': { v2: 'old down', v3: 'old down', v4: 'new down' },
      'app 2 up': { v2: 'old up', v4: 'new up' },
    },
  };

  test('a down runs the newest text, and the plan says where the release of the instance shipped another', () => {
    const down = plan(edited, { target: 'v1', ledger: ledgerAt(edited, 'v2') });
    expect(down.legs[0]!.steps['app']![0]!.script).toBe(sha256('new down'));
    expect(down.warnings).toMatchObject([{ code: 'olderText', migration: '2', text: expect.stringContaining('"v2"') }]);
  });

  test('an up runs the text of the target, or the newest own one where the files of the target have none', () => {
    const up = (target: string) =>
      plan(edited, { direction: 'up', target, ledger: ledgerAt(edited, 'v1') }).legs[0]!.steps['app']![0]!.script;
    expect(up('v2')).toBe(sha256('old up'));
    expect(up('v4')).toBe(sha256('new up'));
    expect(up('v3')).toBe(sha256('new up')); // squashed away there
  });

  test('a script that the engine does not run refuses the plan, and every such step is listed', () => {
    const withRefused: SmallCatalog = {
      ...edited,
      facts: { 'new down': { refused: 'it rolls back' }, 'app 3 down': { refused: 'it ends the transaction' } },
    };
    const error = refusal(() => plan(withRefused, { target: 'v1', ledger: ledgerAt(edited, 'v4') }));
    expect(error.type).toBe('ScriptRefused');
    expect(error.message).toContain('app 3 migration 3: it ends the transaction\napp 2 migration 2: it rolls back');
  });

  test('a migration without a down script is refused, never passed over', () => {
    const without: SmallCatalog = { ...edited, texts: { 'app 3 down': {} } };
    const error = refusal(() => plan(without, { target: 'v2', ledger: ledgerAt(without, 'v3') }));
    expect(error.message).toContain('app 3 migration 3: it has no down script');
  });

  test('what a reader should know about a script is a warning of the plan, in the order of the steps', () => {
    const noted: SmallCatalog = {
      ...edited,
      texts: {},
      facts: {
        'app 3 down': {
          execution: 'segmented',
          sessionState: ['temp table "batch"'],
          notes: [{ code: 'swallowsErrors', text: 'a DO block catches every error' }],
        },
        'app 2 down': { execution: 'empty', units: [], statements: 0 },
        'app 1 down': { execution: 'opaque' },
      },
      releases: [{ label: 'v0', ids: {} }, ...edited.releases],
    };
    const down = plan(noted, { target: 'v0', ledger: ledgerAt(noted, 'v3') });
    expect(down.warnings.map(({ code, migration }) => [code, migration])).toEqual([
      ['sessionState', '3'],
      ['swallowsErrors', '3'],
      ['emptyDown', '2'],
      ['opaque', '1'],
    ]);
    expect(down.legs[0]!.steps['app']![0]).toMatchObject({ execution: 'segmented', units: 1 });
  });

  test('a catalog that does not describe a script it names is refused', () => {
    const catalog = { ...smallCatalog(edited), scripts: {} };
    const error = refusal(() => plan(edited, { catalog, target: 'v1', ledger: ledgerAt(edited, 'v2') }));
    expect(error.type).toBe('InvalidCatalog');
  });
});

test('the id of a plan covers everything in it but itself', () => {
  const down = plan(shop, { target: 'v1.0', ledger: ledgerAt(shop, 'v1.3') });
  expect(down.id).toBe(planId(down, sha256));
  expect(planId({ ...down, id: 'another' } as Plan, sha256)).toBe(down.id);
  expect(planId({ ...down, catalog: 'another' }, sha256)).not.toBe(down.id);
  const reordered = plan(shop, { target: 'v1.0', databases: ['audit', 'app'], ledger: ledgerAt(shop, 'v1.3') });
  expect(reordered.id).toBe(down.id);
});
