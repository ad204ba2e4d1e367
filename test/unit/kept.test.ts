import { expect, test } from 'vitest';
import { forbidden, secretsIn, textsOf } from '../support/kept.js';

const list = forbidden({
  urls: ['postgres://eve:s%20cret@db/shop'],
  passwords: ['s cret'],
  scripts: ['begin;\n  drop table "jobs";\n'],
  rows: ['eve@example.org'],
});
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

/** The two forms of a history, with `value` in a payload: as the server answers it, and as it is saved. */
const forms = (value: unknown) => [
  { events: [{ activityTaskCompletedEventAttributes: { result: { payloads: [{ data: bytes(value) }] } } }] },
  {
    events: [
      { activityTaskCompletedEventAttributes: { result: { payloads: [{ data: bytes(value).toString('base64') }] } } },
    ],
  },
];

test.each([
  ['a connection string', { message: 'cannot reach postgres://eve:s%20cret@db/shop now' }],
  ['a password', { details: ['s cret'] }],
  ['a password', { details: ['s%20cret'] }],
  ['a line of a script', { nested: [{ deep: 'near: drop table "jobs"; (line 2)' }] }],
  ['a value of a row', { 'eve@example.org': 1 }],
])('%s in a payload is found, in a history and in a saved one', (what, value) => {
  for (const history of forms(value)) expect(secretsIn(textsOf(history), list)).toContain(what);
});

test('so is one in a plain text of an event', () => {
  const failure = {
    events: [{ failure: { message: 'Key (email)=(eve@example.org) already exists', stackTrace: '' } }],
  };
  expect(secretsIn(textsOf(failure), list)).toEqual(['a value of a row']);
});

test('names, counts and short lines are no secrets', () => {
  for (const history of forms({ instance: 'acme', how: 'ran', text: 'begin;' })) {
    expect(secretsIn(textsOf(history), list)).toEqual([]);
  }
});
