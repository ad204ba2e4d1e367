import { expect, test } from 'vitest';
import { describeWriters, type Writer } from '../../../src/contract/writers.js';
import { isExempt } from '../../../src/step/writers.js';

const exempt = { exemptRoles: ['monitor'], exemptApplicationNames: ['pgbouncer', 'backup-*', ''] };

test.each<[string, string, string, boolean]>([
  ['a role that is named', 'monitor', 'anything', true],
  ['another role', 'monitor2', 'anything', false],
  ['a name that is named', 'app', 'pgbouncer', true],
  ['a name that only begins so', 'app', 'pgbouncer 2', false],
  ['a name with the beginning that a star stands behind', 'app', 'backup-7', true],
  ['that beginning alone', 'app', 'backup-', true],
  ['a name that holds it further on', 'app', 'my backup-7', false],
  ['another case', 'app', 'Backup-7', false],
])('%s', (_, role, application, expected) => {
  expect(isExempt({ role, application }, exempt)).toBe(expected);
});

test('a star alone stands for every name, and without any exemption nobody is exempt', () => {
  const anyone = { role: 'app', application: 'shop' };
  expect(isExempt(anyone, { exemptRoles: [], exemptApplicationNames: ['*'] })).toBe(true);
  expect(isExempt(anyone, { exemptRoles: [], exemptApplicationNames: [] })).toBe(false);
});

test('who is there is told with role and number, and of many the first ten', () => {
  const writer = (at: number): Writer => ({ database: 'frontend', role: 'app', application: `w${at}`, sessions: at });
  expect(describeWriters([writer(1), { ...writer(2), application: '' }])).toBe(
    '"w1" (role app, one session) on frontend; a program without a name (role app, 2 sessions) on frontend',
  );
  expect(describeWriters(Array.from({ length: 12 }, (_, at) => writer(at)))).toMatch(/"w9" .*; and 2 more$/);
});
