import { expect, test } from 'vitest';
import { makePlan } from '../../../src/plan/plan.js';
import { countSteps, destructiveSteps, planSteps, stepLabel } from '../../../src/plan/report.js';
import { ledgerAt, sha256, smallCatalog, type SmallCatalog } from './small-catalog.js';

const small: SmallCatalog = {
  databases: { app: { graph: { 1: [], 2: [1], 3: [2] } }, audit: { graph: { 1: [], 2: [1] } } },
  releases: [
    { label: 'v1', ids: { app: [1], audit: [1] } },
    { label: 'v2', ids: { app: [1, 2], audit: [1] } },
    { label: 'v3', ids: { app: [1, 2, 3], audit: [1, 2] } },
  ],
  facts: {
    'app 2 down': {
      destroys: [{ kind: 'table', object: 'orders', loss: 'data', cascade: false, certainty: 'certain' }],
    },
    'app 3 down': {
      destroys: [{ kind: 'index', object: 'orders_at', loss: 'structure', cascade: false, certainty: 'certain' }],
    },
  },
};
const plan = makePlan(
  {
    catalog: smallCatalog(small),
    catalogHash: 'c0',
    direction: 'down',
    target: 'v1',
    databases: ['app', 'audit'],
    ledger: ledgerAt(small, 'v3'),
  },
  sha256,
);

test('the steps of a plan are counted as a whole, per leg and per database', () => {
  expect(countSteps(plan)).toEqual({
    total: 3,
    databases: { app: 2, audit: 1 },
    legs: [
      { release: 'v2', total: 2, databases: { app: 1, audit: 1 } },
      { release: 'v1', total: 1, databases: { app: 1, audit: 0 } },
    ],
  });
});

test('the steps that lose content are found; those that lose only definitions are not among them', () => {
  expect(destructiveSteps(plan)).toMatchObject([{ leg: 1, database: 'app', step: { migration: '2' } }]);
});

test('steps are listed leg by leg, and each can be named for a reader', () => {
  const steps = planSteps(plan);
  expect(steps.map(({ leg, database, step }) => `${leg} ${database} ${step.migration}`)).toEqual([
    '0 app 3',
    '0 audit 2',
    '1 app 2',
  ]);
  expect(stepLabel(steps[2]!.step, 2, 'down')).toBe('2/2 2 migration 2 ↓');
});
