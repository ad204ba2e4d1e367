import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import pg from 'pg';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { asFailure } from '../../../src/activities/failure.js';
import { FailureType, UnwindError } from '../../../src/contract/errors.js';
import { newerJournal } from '../../../src/journal/missing.js';
import { MessageError } from '../../../src/postgres/message.js';

const log = pino({ level: 'silent' });
const idle = new AbortController().signal;
const fail = (error: unknown, signal = idle, attempt = 1) =>
  asFailure(error, 'checkDirty', log, signal, attempt) as ApplicationFailure;

function databaseError(sqlstate: string, message = 'Key (email)=(eve@example.org) already exists'): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), { code: sqlstate });
}

describe('what an activity tells Temporal', () => {
  test.each([
    ['a session that was terminated', databaseError('57P01')],
    ['the same inside a message of several statements', new MessageError(databaseError('57P01'), 0, [])],
    ['a socket that broke', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })],
    ['a socket that broke under a message', new MessageError(new Error('Connection terminated unexpectedly'), 1, [])],
    ['a server without connections to give', databaseError('53300')],
    ['a lock that others hold', databaseError('55P03')],
    ['a check that a DBA cancelled', databaseError('57014')],
  ])('%s is tried again', (_, error) => {
    expect(fail(error)).toMatchObject({ type: FailureType.DatabaseUnreachable, nonRetryable: false });
  });

  test('a journal of a newer pg-unwind is left to newer workers for a minute, then parks', () => {
    const newer = newerJournal('frontend', 7);
    const waits = (attempt: number) => !fail(newer, idle, attempt).nonRetryable;
    expect([waits(1), waits(11), waits(12)]).toEqual([true, true, false]);
    expect(fail(newer)).toMatchObject({ type: FailureType.JournalNewer, details: [{ version: 7, known: 1 }] });
    expect(fail(newer).message).toContain('has version 7, this worker knows version 1');
  });

  test('an error of our own query that a repeat cannot cure parks, and holds no row', () => {
    const failure = fail(new MessageError(databaseError('23505'), 0, []));
    expect(failure).toMatchObject({
      type: FailureType.Unexpected,
      nonRetryable: true,
      details: [{ sqlstate: '23505' }],
    });
    expect(JSON.stringify([failure.message, failure.details])).not.toContain('eve@example.org');
  });

  test('an error of ours keeps its type, its details and its own idea of when to come back', () => {
    const busy = new UnwindError(FailureType.InstanceBusy, 'busy', { retryAfterMs: 1_000, details: { holders: [] } });
    expect(fail(busy)).toMatchObject({
      type: 'InstanceBusy',
      nonRetryable: false,
      nextRetryDelay: 1_000,
      details: [{ holders: [] }],
    });
    expect(fail(new UnwindError(FailureType.StepFailed, 'no'))).toMatchObject({
      type: 'StepFailed',
      nonRetryable: true,
    });
  });

  test('whatever a cancelled attempt died of, it was cancelled; a verdict that it reached stands', () => {
    const controller = new AbortController();
    controller.abort(new CancelledFailure('CANCELLED'));
    expect(fail(databaseError('57014'), controller.signal)).toBeInstanceOf(CancelledFailure);
    expect(fail(new UnwindError(FailureType.StepUndecided, 'half'), controller.signal)).toMatchObject({
      type: 'StepUndecided',
    });
  });
});
