import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FEWEST_STEPS, NO_PACE, paceFactor, timeLeft, timeSpent, type WorkLeft } from '../../../src/plan/time-left.js';
import { aboutText, untilText } from '../../../src/plan/time-text.js';

const ms = fc.integer({ min: -1_000, max: 10_000_000 });
const work = fc.record({
  legs: fc.array(
    fc.record({
      databases: fc.array(fc.record({ schemaMs: ms, dataMs: ms }), { maxLength: 4 }),
      boundaryMs: ms,
    }),
    { maxLength: 5 },
  ),
  endMs: ms,
});

describe('the time left', () => {
  test('is never negative, and nothing where nothing is left', () => {
    fc.assert(fc.property(work, (left) => timeLeft(left) >= 0));
    expect(timeLeft({ legs: [], endMs: 0 })).toBe(0);
    const done = { legs: [{ databases: [{ schemaMs: 0, dataMs: 0 }], boundaryMs: 0 }], endMs: 0 };
    expect(timeLeft(done)).toBe(0);
  });

  test('grows with every step, data migration and leg that is added, and with none is it less', () => {
    fc.assert(
      fc.property(
        work,
        fc.nat({ max: 100_000 }),
        fc.nat(),
        fc.nat(),
        fc.boolean(),
        (left, more, leg, database, isData) => {
          const grown: WorkLeft = {
            ...left,
            legs: left.legs.map((each, at) => ({
              ...each,
              databases: each.databases.map((one, index) =>
                at !== leg % left.legs.length || index !== database % each.databases.length
                  ? one
                  : isData
                    ? { ...one, dataMs: one.dataMs + more }
                    : { ...one, schemaMs: one.schemaMs + more },
              ),
            })),
          };
          const longer = { ...left, legs: [...left.legs, { databases: [], boundaryMs: more }] };
          return timeLeft(grown) >= timeLeft(left) && timeLeft(longer) >= timeLeft(left);
        },
      ),
    );
  });

  test('is that of the slowest database of each leg, first for the schema, then for the data', () => {
    const left: WorkLeft = {
      legs: [
        {
          databases: [
            { schemaMs: 3_000, dataMs: 0 },
            { schemaMs: 500, dataMs: 7_000 },
          ],
          boundaryMs: 300,
        },
        {
          databases: [
            { schemaMs: 0, dataMs: 0 },
            { schemaMs: 4_000, dataMs: 0 },
          ],
          boundaryMs: 300,
        },
      ],
      endMs: 50,
    };
    expect(timeLeft(left)).toBe(3_000 + 7_000 + 300 + 4_000 + 300 + 50);
  });
});

describe('the pace of a run', () => {
  test('counts a script whole, and beside it no more than messages take: ten seconds were a worker that died', () => {
    expect(timeSpent(240, 200)).toBe(240);
    expect(timeSpent(60_300, 60_000)).toBe(60_300);
    expect(timeSpent(10_200, 200)).toBe(1_200);
    expect(timeSpent(100, 200), 'two clocks').toBe(200);
  });

  test('says nothing before some steps are done', () => {
    expect(paceFactor(NO_PACE, true)).toBe(1);
    expect(paceFactor({ steps: FEWEST_STEPS - 1, spentMs: 60_000, expectedMs: 100 }, false)).toBe(1);
  });

  test('lies between what was expected and what was seen, and comes nearer to it the more is done', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1_000, max: 100_000 }), (times, expectedMs) => {
        const seen = times / 10; // 0.1 to 4 times what was expected
        const after = (many: number) =>
          paceFactor(
            { steps: FEWEST_STEPS * many, spentMs: seen * expectedMs * many, expectedMs: expectedMs * many },
            false,
          );
        const [soon, late] = [after(1), after(10)];
        expect(soon).toBeGreaterThanOrEqual(Math.min(1, seen) - 1e-9);
        expect(soon).toBeLessThanOrEqual(Math.max(1, seen) + 1e-9);
        expect(Math.abs(late - seen)).toBeLessThanOrEqual(Math.abs(soon - seen) + 1e-9);
      }),
    );
  });

  test('turns figures of earlier runs less than guesses, and neither without bounds', () => {
    const slow = { steps: 10, spentMs: 3_000, expectedMs: 500 };
    expect(paceFactor(slow, true)).toBeLessThan(paceFactor(slow, false));
    const mad = { steps: 10, spentMs: 1e9, expectedMs: 500 };
    expect(paceFactor(mad, true)).toBe(5);
    expect(paceFactor(mad, false)).toBe(50);
    expect(paceFactor({ steps: 10, spentMs: 0, expectedMs: 1e9 }, true)).toBe(1 / 5);
  });
});

describe('the words', () => {
  test.each([
    [0, 'a few seconds'],
    [9.4, 'a few seconds'],
    [42, 'about 40 s'],
    [56, 'about 1 min'],
    [170, 'about 3 min'],
    [9.6 * 60, 'about 10 min'],
    [23 * 60, 'about 25 min'],
    [58 * 60, 'about 1 h'],
    [80 * 60, 'about 1 h 20 min'],
    [9 * 3600 + 57 * 60, 'about 10 h'],
    [30.6 * 3600, 'about 31 h'],
  ])('%d s are %s', (seconds, text) => {
    expect(aboutText(seconds)).toBe(text);
  });

  test('the moment is as exact as the time', () => {
    const now = Date.parse('2026-03-02T13:02:40Z');
    expect(untilText(now, 40)).toBe('');
    expect(untilText(now, 180)).toBe('until 13:06 UTC');
    expect(untilText(now, 1_500)).toBe('until 13:30 UTC');
    expect(untilText(now, 30 * 3600)).toBe('until 2026-03-03 19:00 UTC');
  });

  test('more time is never told as less', () => {
    const minutes = (text: string) => {
      const [, hours = 0, min = 0, s = 0] = /^about (?:(\d+) h)?(?: ?(\d+) min)?(?:(\d+) s)?$/.exec(text) ?? [];
      return Number(hours) * 60 + Number(min) + Number(s) / 60;
    };
    fc.assert(
      fc.property(fc.nat({ max: 200_000 }), fc.nat({ max: 200_000 }), (a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)];
        return minutes(aboutText(less)) <= minutes(aboutText(more));
      }),
    );
  });
});
