import { describe, expect, test } from 'vitest';
import { describeBlocker, leftAlone, type Blocker } from '../../../src/step/blockers.js';
import { pauseAfter } from '../../../src/step/lock-waits.js';

const SESSION: Blocker = {
  pid: 7,
  backendStart: '2026-01-01T00:00:00+00:00',
  application: 'a report',
  user: 'app',
  client: '10.0.0.9',
  state: 'idle in transaction',
  since: '2026-01-01T00:00:01+00:00',
  kind: 'client backend',
  issued: false,
  superuser: false,
  walsender: false,
  wraparound: false,
};

describe('what a policy leaves alone', () => {
  const cases: [string, Partial<Blocker>, idle: RegExp | null, any: RegExp | null][] = [
    ['an idle transaction: nothing', {}, null, null],
    ['an idle, failed transaction: nothing', { state: 'idle in transaction (aborted)' }, null, null],
    ['a working one: until it is asked for any', { state: 'active' }, /not idle/, null],
    ['an idle session with a lock of the session: likewise', { state: 'idle' }, /not idle/, null],
    ['one whose state our role may not see', { state: null, kind: null }, /pg_read_all_stats/, null],
    ['a session of ours', { issued: true }, /of pg-unwind/, /of pg-unwind/],
    ['a session of our pool', { application: 'pg-unwind' }, /of pg-unwind/, /of pg-unwind/],
    ['a replica', { walsender: true, kind: 'walsender' }, /replica/, /replica/],
    ['a replica whose kind our role may not see', { walsender: true, kind: null }, /replica/, /replica/],
    ['an autovacuum', { kind: 'autovacuum worker', state: 'active' }, /autovacuum/, null],
    ['an autovacuum against wraparound', { kind: 'autovacuum worker', wraparound: true }, /wraparound/, /wraparound/],
    ['a worker of logical replication', { kind: 'logical replication apply worker' }, /left alone/, /left alone/],
  ];
  test.each(cases)('%s', (_, facts, idle, any) => {
    const blocker = { ...SESSION, ...facts };
    const expected = (pattern: RegExp | null) => (pattern === null ? null : expect.stringMatching(pattern));
    expect(leftAlone(blocker, 'wait')).not.toBeNull();
    expect(leftAlone(blocker, 'terminateIdle')).toEqual(expected(idle));
    expect(leftAlone(blocker, 'terminate')).toEqual(expected(any));
  });
});

test('a blocker is described by process, user, address, state and the age of its transaction', () => {
  expect(describeBlocker(SESSION)).toBe(
    '"a report" (process 7, user app, from 10.0.0.9, idle in transaction, in its transaction since 2026-01-01 00:00:01 UTC)',
  );
  expect(
    describeBlocker({ ...SESSION, kind: 'autovacuum worker', application: '', user: null, client: null, since: null }),
  ).toBe('an autovacuum worker (process 7, idle in transaction)');
});

test('pauses grow from two seconds to thirty', () => {
  expect([1, 2, 3, 4, 5, 6, 1_000].map(pauseAfter)).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});
