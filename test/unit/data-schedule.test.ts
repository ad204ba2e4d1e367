import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { minorLabel, parseVersion, versionRange } from '../../src/catalog/version.js';
import { scheduleData, type DataWindow, type Way } from '../../src/data/schedule.js';
import { fixture, missingFixtures } from '../support/shared.js';

interface GoldenCase {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly dataMigrations: readonly { id: number; introduced: string; deprecated: string | null }[];
  readonly interrupts: readonly { version: string; ids: readonly number[] }[];
}
interface Golden {
  readonly up: readonly GoldenCase[];
  readonly down: readonly GoldenCase[];
  readonly downNeverDeprecated: readonly GoldenCase[];
  readonly documented: readonly { from: string; to: string; steps: GoldenCase['interrupts'] }[];
}

// A version's position is its place among all minors; 3.44 is the table's own (the product ended major 3 with 3.43).
const MINORS = versionRange({ major: 3, minor: 0 }, { major: 5, minor: 9 }, { 3: 44, 4: 5 })!.map(minorLabel);
const position = (version: string) => MINORS.indexOf(minorLabel(parseVersion(version)!));

function schedule(direction: 'up' | 'down', { from, to, dataMigrations }: Omit<GoldenCase, 'name' | 'interrupts'>) {
  const { stops, unsatisfied } = scheduleData(
    { direction, from: position(from), to: position(to), stopsAtStart: true },
    dataMigrations.map(({ id, introduced, deprecated }) => ({
      id: String(id),
      introduced: position(introduced),
      deprecated: deprecated === null ? Infinity : position(deprecated),
    })),
  );
  expect(unsatisfied).toEqual([]);
  return stops.map(({ at, ids }) => ({ version: MINORS[at], ids: ids.map(Number) }));
}

const missing = missingFixtures();
const golden = missing === null ? fixture<Golden>('data-migration-schedule.json') : null;

describe.skipIf(missing !== null)(
  `the golden cases of data-migration-schedule.json${missing === null ? '' : `: skipped, ${missing}`}`,
  () => {
    test.each(golden?.up ?? [])('up, $name', (it) => {
      expect(schedule('up', it)).toEqual(it.interrupts);
    });

    test.each(golden?.down ?? [])('down, $name', (it) => {
      expect(schedule('down', it)).toEqual(it.interrupts);
    });

    test.each(golden?.downNeverDeprecated ?? [])('down, never deprecated: $name', (it) => {
      expect(schedule('down', it)).toEqual(it.interrupts);
    });

    test('the documented plan comes out of exactly those windows whose later one begins at its stop', () => {
      const { from, to, steps } = golden!.documented[0]!;
      const minors = MINORS.slice(position(to), position(from) + 1);
      const [stop, last] = [steps[0]!, steps.at(-1)!];
      expect(last).toEqual({ version: minors[0], ids: [] }); // the schema goes on to the target, where no data is left
      const windows = minors.slice(0, -1).flatMap((introduced) =>
        [...minors, null].flatMap((deprecated) => {
          const holds = deprecated === null || position(introduced) < position(deprecated);
          return holds && deprecated !== to ? [{ introduced, deprecated }] : [];
        }),
      );
      let seen = 0;
      for (const one of windows) {
        for (const other of windows) {
          const both = [
            { id: 17, ...one },
            { id: 18, ...other },
          ];
          const found = schedule('down', { from, to, dataMigrations: both });
          const expected =
            both.some(({ introduced }) => introduced === stop.version) &&
            both.every(({ introduced }) => position(introduced) <= position(stop.version)) &&
            both.every(
              ({ introduced, deprecated }) =>
                introduced === stop.version || deprecated === null || position(deprecated) > position(stop.version),
            );
          if (expected) seen += 1;
          expect(JSON.stringify(found) === JSON.stringify(steps.slice(0, 1)), JSON.stringify(both)).toBe(expected);
        }
      }
      expect(seen).toBeGreaterThan(0);
    });
  },
);

/** Whole positions are stops, halves lie between two of them. */
const positions = fc.integer({ min: -4, max: 28 }).map((twice) => twice / 2);

const ways: fc.Arbitrary<Way> = fc
  .record({
    direction: fc.constantFrom('up' as const, 'down' as const),
    low: fc.integer({ min: 0, max: 6 }),
    high: fc.integer({ min: 6, max: 12 }),
    stopsAtStart: fc.boolean(),
  })
  .map(({ direction, low, high, stopsAtStart }) => ({
    direction,
    from: direction === 'up' ? low : high,
    to: direction === 'up' ? high : low,
    stopsAtStart,
  }));

const windows: fc.Arbitrary<DataWindow[]> = fc
  .array(fc.record({ ends: fc.tuple(positions, positions), never: fc.boolean() }), { maxLength: 9 })
  .map((all) =>
    all.map(({ ends, never }, index) => ({
      id: String(index + 1),
      introduced: Math.min(...ends),
      deprecated: never ? Infinity : Math.max(...ends),
    })),
  );

const within = (at: number, { introduced, deprecated }: DataWindow) => introduced <= at && at <= deprecated;

/** Written down from the words of the golden file, and for a target that calls it deprecated from those of the contract. */
function takesPart({ direction, from, to }: Way, { introduced, deprecated }: DataWindow): boolean {
  if (direction === 'up') return deprecated > from && deprecated <= to;
  return introduced >= to && introduced < from && deprecated > to;
}

function stopsOf({ from, to, stopsAtStart }: Way): number[] {
  const all = Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => from + Math.sign(to - from) * i);
  return stopsAtStart ? all : all.slice(1);
}

describe('whatever the windows', () => {
  test('each that takes part is at exactly one stop in its window, or told to have none on the way', () => {
    fc.assert(
      fc.property(ways, windows, (way, all) => {
        const { stops, unsatisfied } = scheduleData(way, all);
        const counted = [...stops.flatMap(({ ids }) => ids), ...unsatisfied].toSorted();
        expect(counted).toEqual(
          all
            .filter((window) => takesPart(way, window))
            .map(({ id }) => id)
            .toSorted(),
        );
        for (const window of all) {
          const at = stops.find(({ ids }) => ids.includes(window.id))?.at;
          if (at !== undefined) expect(within(at, window)).toBe(true);
          if (way.direction === 'up' && at === window.deprecated) {
            expect(stopsOf(way).some((stop) => window.introduced <= stop && stop < at)).toBe(false);
          }
          if (unsatisfied.includes(window.id)) {
            expect(stopsOf(way).some((stop) => within(stop, window))).toBe(false);
          }
        }
      }),
    );
  });

  test('the stops are places of the way, in travel order, none without data, and each takes the last that it can', () => {
    fc.assert(
      fc.property(ways, windows, (way, all) => {
        const { stops } = scheduleData(way, all);
        const places = stopsOf(way);
        const travelled = stops.map(({ at }) => places.indexOf(at));
        expect(travelled).not.toContain(-1);
        expect(travelled).toEqual([...new Set(travelled)].toSorted((a, b) => a - b));
        for (const { at, ids } of stops) {
          expect(ids.length).toBeGreaterThan(0);
          for (const id of ids) {
            const window = all.find((each) => each.id === id)!;
            const usable = stops.filter((stop) => within(stop.at, window));
            const before = usable.filter((stop) => way.direction === 'down' || stop.at < window.deprecated);
            expect((before.at(-1) ?? usable.at(-1))!.at).toBe(at);
          }
        }
      }),
    );
  });

  test('a stop is where one of its data migrations would be if it were alone', () => {
    fc.assert(
      fc.property(ways, windows, (way, all) => {
        for (const { at } of scheduleData(way, all).stops) {
          const alone = all.flatMap((window) => scheduleData(way, [window]).stops.map((stop) => stop.at));
          expect(alone).toContain(at);
        }
      }),
    );
  });

  test('the order in which they are given changes nothing but the order within a stop', () => {
    const shape = (way: Way, all: readonly DataWindow[]) => {
      const { stops, unsatisfied } = scheduleData(way, all);
      return { stops: stops.map(({ at, ids }) => ({ at, ids: ids.toSorted() })), unsatisfied: unsatisfied.toSorted() };
    };
    const shuffled = windows.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(ways, shuffled, (way, [all, other]) => {
        expect(shape(way, other)).toEqual(shape(way, all));
      }),
    );
  });
});

describe('the ends of a window', () => {
  const way = (over: Partial<Way>): Way => ({ direction: 'up', from: 0, to: 5, stopsAtStart: true, ...over });

  test('up, what the release after the start calls deprecated runs at the start', () => {
    const window = { id: 'a', introduced: 0, deprecated: 1 };
    expect(scheduleData(way({}), [window]).stops).toEqual([{ at: 0, ids: ['a'] }]);
  });

  test('up, where the start is no place to stop, it runs at the release that deprecates it', () => {
    const window = { id: 'a', introduced: 0, deprecated: 1 };
    expect(scheduleData(way({ stopsAtStart: false }), [window]).stops).toEqual([{ at: 1, ids: ['a'] }]);
    const between = { id: 'a', introduced: 0, deprecated: 0.5 };
    expect(scheduleData(way({ stopsAtStart: false }), [between])).toEqual({ stops: [], unsatisfied: ['a'] });
  });

  test('up, it does not wait for a stop at the release that deprecates it, though another stops there', () => {
    const windows = [
      { id: 'a', introduced: 0, deprecated: 3 },
      { id: 'b', introduced: 3, deprecated: 4 },
    ];
    expect(scheduleData(way({}), windows).stops).toEqual([
      { at: 2, ids: ['a'] },
      { at: 3, ids: ['b'] },
    ]);
  });

  test('down, what the target calls deprecated is left in the newer form', () => {
    const window = { id: 'a', introduced: 2, deprecated: 2 };
    expect(scheduleData(way({ direction: 'down', from: 5, to: 2 }), [window]).stops).toEqual([]);
  });
});
