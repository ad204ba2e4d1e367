import { describe, expect, test } from 'vitest';
import type { Durations } from '../../../src/contract/estimate.js';
import type { Plan, PlannedDataStep, PlannedStep } from '../../../src/contract/plan.js';
import { expectedOf, GUESS } from '../../../src/plan/expected.js';

const step = (seq: number, execution: PlannedStep['execution'] = 'atomic') => ({ seq, execution }) as PlannedStep;
const data = (id: string, act: PlannedDataStep['act']) => ({ id, act, database: 'frontend' }) as PlannedDataStep;
const plan = {
  databases: ['frontend', 'orders'],
  legs: [
    { steps: { frontend: [step(1), step(2, 'concurrent')], orders: [step(1)] }, data: [data('7', 'reverse')] },
    { steps: { frontend: [step(3)], orders: [] }, data: [data('8', 'reverse'), data('9', 'leave')] },
  ],
} as unknown as Plan; // what is asked of it here
const NOTHING: Durations = { own: {}, kinds: {}, gapMs: null, boundaryMs: null, endMs: null, data: {} };

describe('what a plan should take', () => {
  test('is a guess by kind where no journal knows anything, and where none could be read', () => {
    const guessed = expectedOf(plan, { frontend: NOTHING, orders: null });
    const { steps, gap, boundary, end } = GUESS;
    expect(guessed).toEqual({
      stepMs: {
        frontend: [gap + steps.atomic, gap + steps.concurrent, gap + steps.atomic],
        orders: [gap + steps.atomic],
      },
      known: 0,
      legMs: boundary,
      endMs: end,
      data: [
        { leg: 0, database: 'frontend', id: '7', ms: null },
        { leg: 1, database: 'frontend', id: '8', ms: null },
      ],
    });
  });

  test('is what a step took before, else what others of its kind took in that database', () => {
    const frontend = {
      ...NOTHING,
      own: { 2: 2_000 },
      kinds: { atomic: 5 },
      gapMs: 20,
      data: { '7 reverse': 9_000, '8 forward': 1 },
    };
    const expected = expectedOf(plan, { frontend, orders: NOTHING });
    expect(expected.stepMs['frontend']).toEqual([25, 2_020, 25]);
    expect(expected.stepMs['orders'], 'another database, other figures').toEqual([GUESS.gap + GUESS.steps.atomic]);
    expect(expected.known).toBe(1);
    expect(
      expected.data?.map(({ ms }) => ms),
      'the other direction says nothing',
    ).toEqual([9_000, null]);
  });

  test('takes a boundary from the database that waited least at it, and never for longer than half a minute', () => {
    const waited = { ...NOTHING, boundaryMs: 60_000, endMs: 700 };
    expect(expectedOf(plan, { frontend: waited, orders: { ...NOTHING, boundaryMs: 150, endMs: 900 } })).toMatchObject({
      legMs: 150,
      endMs: 700,
    });
    expect(expectedOf(plan, { frontend: waited, orders: null }).legMs).toBe(30_000);
  });
});
