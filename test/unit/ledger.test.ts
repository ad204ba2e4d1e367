import { describe, expect, test } from 'vitest';
import { markerOf } from '../../src/journal/ledgers/release-marker.js';
import { fnv1, sourcegraphLedger } from '../../src/journal/ledgers/sourcegraph.js';

describe('the lock of Sourcegraph’s own migrator', () => {
  // Published vectors of FNV-1, 32 bits (Noll's test suite); FNV-1a would give e40c292c for "a".
  test.each([
    ['', 0x811c9dc5],
    ['a', 0x050c5d7e],
    ['b', 0x050c5d7d],
    ['foo', 0x408f5e13],
    ['foobar', 0x31f0b262],
  ])('FNV-1 of %j', (text, hash) => {
    expect(fnv1(text)).toBe(hash);
  });

  test('is the hash of "<key>:migrations" without what an int4 cannot hold, and 0', () => {
    const keys = ['schema_migrations', 'codeintel_schema_migrations', 'codeinsights_schema_migrations'];
    const locks = keys.map((key) => sourcegraphLedger.lockKey({ key, schema: 'public' }));
    // Worked out a second time from the definition with Python's integers: prime 16777619, modulo 2^31 - 1.
    expect(locks).toEqual([
      { classId: 1_308_612_253, objId: 0 },
      { classId: 1_731_304_153, objId: 0 },
      { classId: 1_054_047_648, objId: 0 },
    ]);
  });

  test('is the same for whatever schema the table lies in: the product hashes only the key', () => {
    const elsewhere = sourcegraphLedger.lockKey({ key: 'schema_migrations', schema: 'elsewhere' });
    expect(elsewhere).toEqual(sourcegraphLedger.lockKey({ key: 'schema_migrations', schema: 'public' }));
  });
});

test.each([
  ['v5.8.1579', '5.8.0'],
  ['7.2.0', '7.2.0'],
  ['v6.12', '6.12.0'],
  ['nightly', null],
])('the product’s version row after a move to %s says %s', (label, marker) => {
  expect(markerOf(label)).toBe(marker);
});
