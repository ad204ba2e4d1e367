import { describe, expect, test } from 'vitest';
import type { Estimate } from '../../../src/contract/estimate.js';
import type { StatusReport } from '../../../src/contract/messages.js';
import type { ShownData, ShownStatus } from '../../../src/cli/data-figures.js';
import { timeLeftText } from '../../../src/cli/time-left.js';

const AS_OF = '2026-03-02T14:00:00.000Z';
const ESTIMATE: Estimate = { seconds: 300, secondsAfterCurrent: 240, asOf: AS_OF, basis: 'earlierRuns', unknown: [] };
const STATUS: ShownStatus = {
  instance: 'acme-eu',
  direction: 'down',
  state: 'running',
  plan: 'a'.repeat(64),
  run: 'r',
  from: 'v2',
  to: 'v1',
  leg: 1,
  legs: 1,
  release: 'v1',
  stepsDone: 3,
  stepsTotal: 9,
  databases: {},
  data: [],
  waitingFor: null,
  estimatedEnd: null,
  parked: [],
  decisions: [],
  warnings: [],
  drift: {},
} satisfies StatusReport;

const text = (estimate: Partial<Estimate>, secondsLater = 0, status: Partial<ShownStatus> = {}) =>
  timeLeftText(
    { ...STATUS, estimate: { ...ESTIMATE, ...estimate }, ...status },
    Date.parse(AS_OF) + secondsLater * 1_000,
  );

function moving(database: string, id: string, counted: number | null, told: number | null): ShownData {
  return {
    id,
    database,
    description: 'moves',
    act: 'reverse',
    done: false,
    running: true,
    activityId: `${database}-data-${id}-reverse`,
    secondsLeft: counted,
    figures: { doing: 'moving rows', secondsLeft: told },
  };
}

describe('how long a run still takes', () => {
  test('is said in round figures, with the moment where it is some minutes away', () => {
    expect(text({})).toBe('about 5 min left, until 14:05 UTC');
    expect(text({ seconds: 42, secondsAfterCurrent: 10 })).toBe('about 40 s left');
  });

  test('goes down by the clock of who looks, but never below what comes behind the step under way', () => {
    expect(text({}, 30)).toBe('about 5 min left, until 14:05 UTC');
    expect(text({}, 55)).toBe('about 4 min left, until 14:05 UTC');
    expect(text({}, 120)).toBe('about 4 min left, until 14:06 UTC');
    expect(text({}, -3_600), 'a clock that is behind').toBe('about 5 min left, until 13:05 UTC');
  });

  test('says that a step takes longer than expected, in place of an end that goes on moving away', () => {
    expect(text({}, 600)).toBe('the step under way takes longer than expected, about 4 min behind it');
  });

  test('says what it does not count, and that it guesses', () => {
    expect(text({ unknown: ['frontend data migration 12'] })).toBe(
      'about 5 min left, not counting frontend data migration 12',
    );
    expect(text({ unknown: ['a', 'b', 'c', 'd'] })).toBe('about 5 min left, not counting a and 3 more');
    expect(text({ basis: 'guess' })).toBe('about 5 min left, until 14:05 UTC (a guess)');
    expect(text({ basis: 'thisRun' })).toBe('about 5 min left, until 14:05 UTC');
  });

  test('is work left, and no end, where the run waits; and nothing where there is no estimate', () => {
    for (const state of ['paused', 'needsOperator', 'awaitingApproval', 'atStop', 'waiting'] as const) {
      expect(text({}, 3_000, { state })).toBe('about 5 min of work left');
    }
    expect(timeLeftText(STATUS, 0)).toBe('');
  });

  test('is what moving data tells of itself, in place of what the run knew of it; the slowest database counts', () => {
    const unknown = ['frontend data migration 12'];
    const one = moving('frontend', '12', null, 1_200);
    expect(text({ unknown }, 3_000, { data: [one] })).toBe('about 25 min left, until 15:15 UTC');
    const other = moving('orders', '7', 100, 80);
    expect(text({ unknown }, 0, { data: [one, other] })).toBe('about 25 min left, until 14:25 UTC');
    expect(text({ unknown }, 0, { data: [moving('frontend', '12', null, null)] })).toBe(
      'about 5 min left, not counting frontend data migration 12',
    );
    expect(
      text({ unknown }, 3_000, { data: [moving('frontend', '12', null, null)] }),
      'nothing was expected of it',
    ).toBe('about 4 min left, not counting frontend data migration 12');
  });
});
