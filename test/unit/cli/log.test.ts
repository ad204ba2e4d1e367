import { expect, test } from 'vitest';
import { createLog } from '../../../src/cli/log.js';

test('a plain line is the level and the text, without the fields', () => {
  const lines: string[] = [];
  const log = createLog('plain', (line) => lines.push(line));
  log.info({ database: 'frontend', seq: 43 }, 'frontend 1771010057 deepsearch_question_jobs down ok 12 ms (43/259)');
  log.warn('a blocker');
  log.debug('not shown');
  expect(lines).toEqual(['INFO frontend 1771010057 deepsearch_question_jobs down ok 12 ms (43/259)', 'WARN a blocker']);
});

test('of an error the plain line has the message, and debug the stack', () => {
  const plain: string[] = [];
  const debug: string[] = [];
  const error = new Error('connection to postgres://u:pw@h/d lost');
  createLog('plain', (line) => plain.push(line)).error({ err: error }, 'step failed');
  createLog('debug', (line) => debug.push(line)).error({ err: error }, 'step failed');
  expect(plain).toEqual(['ERROR step failed: connection to postgres://u:***@h/d lost']);
  expect(debug[0]).toContain('at ');
});

test('JSON lines keep the fields, name the level and carry the time', () => {
  const lines: string[] = [];
  createLog('json', (line) => lines.push(line)).info({ seq: 43 }, 'done');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'info',
    msg: 'done',
    seq: 43,
    time: expect.stringMatching(/^\d{4}-/),
  });
});
