import { describe, expect, test } from 'vitest';
import { FailureType } from '../../../src/contract/errors.js';
import type { Plan } from '../../../src/contract/plan.js';
import { stopsOf } from '../../../src/plan/stops.js';

/** Only what the stops are read from. */
const way = (...releases: readonly (string | readonly string[])[]) =>
  ({
    legs: releases.map((labels) => {
      const [release, ...aliases] = [labels].flat();
      return { release, aliases, steps: {}, setHash: {} };
    }),
  }) as unknown as Plan;

const DOWN = way('v5.3.2', 'v5.3.0', ['v5.2.9', 'v5.2.8'], 'v5.2.1', 'v5.1.4', 'v5.1.0');
const UP = way('v5.1.4', 'v5.2.1', 'v5.2.9', 'v5.3.0', 'v5.3.2');

const namesOf = (plan: Plan, stops: readonly number[]) => stops.map((at) => plan.legs[at]?.release);

describe('stops of a way', () => {
  test('without any, the run goes through', () => {
    expect(stopsOf(DOWN, undefined)).toEqual([]);
  });

  test('every release: all but the last, where the run ends', () => {
    expect(stopsOf(DOWN, 'every-release')).toEqual([0, 1, 2, 3, 4]);
    expect(stopsOf(way('v1'), 'every-release')).toEqual([]);
  });

  test('every minor: its highest version, whichever direction leads there, and none of the minor that the run ends in', () => {
    expect(namesOf(DOWN, stopsOf(DOWN, 'every-minor'))).toEqual(['v5.3.2', 'v5.2.9']);
    expect(namesOf(UP, stopsOf(UP, 'every-minor'))).toEqual(['v5.1.4', 'v5.2.9']);
  });

  test('named releases, by any of their labels, in the order of the way; the target is no stop', () => {
    expect(stopsOf(DOWN, ['v5.1.4', '5.2.8', 'v5.2.9', 'v5.1.0'])).toEqual([2, 4]);
  });

  test('a release that the way does not pass is refused with those that it does', () => {
    const refused = () => stopsOf(DOWN, ['v5.2.9', 'v4.0.0', 'nonsense']);
    expect(refused).toThrow(expect.objectContaining({ type: FailureType.InvalidInput }) as Error);
    expect(refused).toThrow(
      '"v4.0.0", "nonsense", which this way does not pass. Nothing was changed. It passes: v5.3.2, ',
    );
    expect(() => stopsOf(way('v1'), ['v2'])).toThrow('It passes no release before its target.');
  });
});
