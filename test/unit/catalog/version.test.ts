import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareLabels,
  compareVersions,
  isStandardUpgrade,
  minorLabel,
  nextVersion,
  parseVersion,
  previousVersion,
  versionRange,
  type Version,
} from '../../../src/catalog/version.js';
import { fixture, missingFixtures } from '../../support/shared.js';

interface VersionCases {
  readonly parse: readonly { input: string; expected: Version | null }[];
  readonly compare: readonly { left: string; right: string; expected: 'equal' | 'before' | 'after' }[];
  readonly lastMinor: Record<string, number>;
  readonly next: readonly { input: string; expected: string }[];
  readonly previous: readonly { input: string; expected: string | null }[];
  readonly range: readonly { from: string; to: string; expected: string[] | null }[];
  readonly upgradePolicy: readonly { name: string; previous: string; latest: string; allowed: boolean }[];
}

const missing = missingFixtures();
const cases = missing === null ? fixture<VersionCases>('version-cases.json') : null;
const version = (text: string) => parseVersion(text)!;
const label = (found: ReturnType<typeof previousVersion>) => (found === null ? null : minorLabel(found));

describe.skipIf(missing !== null)(
  `the golden cases of version-cases.json${missing === null ? '' : `: skipped, ${missing}`}`,
  () => {
    test('a text is a version as a whole or not at all', () => {
      for (const { input, expected } of cases!.parse) expect(parseVersion(input), `"${input}"`).toEqual(expected);
    });

    test('only major and minor count when versions are compared', () => {
      for (const { left, right, expected } of cases!.compare) {
        const sign = Math.sign(compareVersions(version(left), version(right)));
        expect(sign, `${left} ${right}`).toBe({ before: -1, equal: 0, after: 1 }[expected]);
      }
    });

    test('steps over the end of a major follow the table of last minors', () => {
      const { lastMinor, next, previous, range } = cases!;
      for (const { input, expected } of next) expect(minorLabel(nextVersion(version(input), lastMinor))).toBe(expected);
      for (const { input, expected } of previous) {
        expect(label(previousVersion(version(input), lastMinor)), input).toBe(expected);
      }
      for (const { from, to, expected } of range) {
        const found = versionRange(version(from), version(to), lastMinor);
        expect(found?.map(minorLabel) ?? null, `${from} to ${to}`).toEqual(expected);
      }
    });

    test('the standard upgrade is one minor up, or any rollback', () => {
      for (const { name, previous, latest, allowed } of cases!.upgradePolicy) {
        expect(isStandardUpgrade(previous, latest), name).toBe(allowed);
      }
    });
  },
);

test('a range that crosses a major of unknown length is not counted for ever', () => {
  expect(versionRange(version('7.1'), version('8.0'), { 6: 12 })).toBeNull();
});

test('labels are listed in version order with the patch, other names after them', () => {
  const listed = [
    'main',
    'v5.10.0',
    'release-10',
    'v5.9.17785',
    'v5.9.45',
    '5.9',
    'release-9',
    'v5.10.0-rc10',
    'v5.10.0-rc2',
  ];
  expect(listed.sort(compareLabels)).toEqual([
    '5.9',
    'v5.9.45',
    'v5.9.17785',
    'v5.10.0',
    'v5.10.0-rc2',
    'v5.10.0-rc10',
    'main',
    'release-9',
    'release-10',
  ]);
});

test('the order of labels is total', () => {
  const labels = fc.oneof(
    fc
      .tuple(fc.constantFrom('', 'v'), fc.nat(3), fc.nat(12), fc.constantFrom('', '.0', '.00', '.7', '-rc1', '+dev'))
      .map(([v, major, minor, rest]) => `${v}${major}.${minor}${rest}`),
    fc.string({ unit: fc.constantFrom('a', '0', '1', '-', '9', 'v'), maxLength: 5 }),
  );
  fc.assert(
    fc.property(labels, labels, labels, (a, b, c) => {
      expect(compareLabels(a, b) === 0).toBe(a === b);
      expect(Math.sign(compareLabels(a, b)) + Math.sign(compareLabels(b, a))).toBe(0);
      if (compareLabels(a, b) < 0 && compareLabels(b, c) < 0) expect(compareLabels(a, c)).toBeLessThan(0);
    }),
  );
});
