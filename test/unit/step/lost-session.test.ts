import { describe, expect, test } from 'vitest';
import { createLossJudge, type Look } from '../../../src/step/lost-session.js';

describe('a session is not given up', () => {
  const judged = (messageBytes = 0) => {
    const clock = { at: 0 };
    const judge = createLossJudge({ quietMs: 3_000, silenceMs: 30_000 }, messageBytes, () => clock.at);
    return (at: number, kind: Look['kind'], bytes = 0) => {
      clock.at = at;
      return judge.judge({ kind }, bytes);
    };
  };

  test('while its backend works, however long', () => {
    const at = judged();
    for (let hour = 1; hour < 10; hour += 1) expect(at(hour * 3_600_000, 'working')).toBeNull();
  });

  test('for one look that finds it idle, and not while something comes from it', () => {
    const at = judged();
    expect(at(60_000, 'idle')).toBeNull();
    expect(at(62_999, 'idle')).toBeNull();
    expect(at(64_000, 'idle', 100)).toBeNull();
    expect(at(66_999, 'idle', 100)).toBeNull();
    expect(at(67_000, 'idle', 100)).toContain('does nothing any more');
  });

  test('while a slow line still carries a large message to it', () => {
    const at = judged(640_000);
    expect(at(1_000, 'idle')).toBeNull();
    expect(at(13_000, 'idle')).toBeNull();
    expect(at(14_001, 'idle')).toContain('does nothing any more');
  });

  test('for the silence of a second session while the server answers no to it', () => {
    const at = judged();
    for (let minute = 1; minute < 10; minute += 1) expect(at(minute * 60_000, 'refused')).toBeNull();
  });

  test('by the first looks of a process that was frozen', () => {
    const at = judged();
    expect(at(3_600_000, 'silent')).toBeNull();
    expect(at(3_600_100, 'silent')).toBeNull();
    expect(at(3_600_200, 'working')).toBeNull();
    expect(at(3_605_000, 'silent')).toBeNull();
    expect(at(3_610_000, 'silent')).toBeNull();
    expect(at(3_630_300, 'silent')).toContain('30 s');
  });
});
