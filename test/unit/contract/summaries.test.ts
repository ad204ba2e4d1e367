import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutSummary, stepSummary } from '../../../src/contract/ids.js';

test('a summary has at most 200 bytes, whatever it is written in, and is cut between two characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (text) => {
      const cut = cutSummary(text);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(200);
      if (Buffer.byteLength(text) <= 200) expect(cut).toBe(text);
      else expect(cut).toMatch(/…$/);
      expect(text.startsWith(cut.replace(/…$/, ''))).toBe(true);
      expect(Buffer.from(cut).toString()).toBe(cut); // no half of a pair
    }),
  );
  expect(cutSummary('日'.repeat(67))).toBe(`${'日'.repeat(65)}…`);
});

test('the direction of a step stays, however long its name is', () => {
  const words = stepSummary('frontend', '1771010057', 'x'.repeat(500), 'down');
  expect(words).toMatch(/^frontend 1771010057 x+… ↓$/);
  expect(Buffer.byteLength(words)).toBeLessThanOrEqual(210);
});
