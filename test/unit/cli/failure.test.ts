import { describe, expect, test } from 'vitest';
import { CommandError, exitCodeOf, formatFailure, reportOf } from '../../../src/cli/failure.js';
import { FATAL, FailureType, UnwindError } from '../../../src/contract/errors.js';

describe('exit codes', () => {
  test.each([...FATAL])('%s cannot be done as asked, so it is 2', (type) => {
    expect(exitCodeOf(new UnwindError(type, 'no'))).toBe(2);
  });

  test.each([
    FailureType.DirtyDatabase,
    FailureType.NoLedger,
    FailureType.UnknownMigration,
    FailureType.InsufficientPrivileges,
    FailureType.TransactionPooler,
    FailureType.DatabaseUnreachable,
    FailureType.ClaimedByAnother,
  ])('%s needs someone to look at a database, so it is 3', (type) => {
    expect(exitCodeOf(new UnwindError(type, 'look'))).toBe(3);
  });

  test('a failure without a name is 1, ours or not', () => {
    expect(exitCodeOf(new UnwindError(FailureType.Unexpected, 'bug'))).toBe(1);
    expect(exitCodeOf(new TypeError('bug'))).toBe(1);
    expect(exitCodeOf('thrown text')).toBe(1);
  });

  test('of the command itself: a run that was stopped is 4, an instance that is already running 2, no worker 3', () => {
    expect(exitCodeOf(new CommandError('RunStopped', ''))).toBe(4);
    expect(exitCodeOf(new CommandError('AlreadyRunning', ''))).toBe(2);
    expect(exitCodeOf(new CommandError('NoWorker', ''))).toBe(3);
  });
});

describe('what is printed of a failure', () => {
  test('a dirty database shows each reason with its evidence and remedy', () => {
    const error = new UnwindError(FailureType.DirtyDatabase, '"frontend" is not clean. Nothing was changed.', {
      details: {
        reasons: [
          { code: 'invalidIndex', database: 'frontend', evidence: 'index jobs_idx is invalid', remedy: 'drop it.' },
        ],
      },
    });
    expect(formatFailure(error, false)).toBe(
      'error: "frontend" is not clean. Nothing was changed.\n' +
        '  - frontend invalidIndex: index jobs_idx is invalid What to do: drop it.',
    );
  });

  test('every problem of a source is a line with its file and rule', () => {
    const error = new UnwindError(FailureType.InvalidCatalog, 'The source breaks 2 rules.', {
      details: {
        problems: [
          { rule: 'V3', file: 'v1/frontend/2_b/metadata.yaml', message: 'unknown parent 9' },
          { rule: 'V1', file: null, message: 'no migrations' },
        ],
      },
    });
    expect(formatFailure(error, false).split('\n').slice(1)).toEqual([
      '  - v1/frontend/2_b/metadata.yaml V3: unknown parent 9',
      '  - V1: no migrations',
    ]);
  });

  test('a long list is cut and says where the rest is', () => {
    const problems = Array.from({ length: 60 }, (_, index) => ({ rule: 'V1', file: `f${index}`, message: 'wrong' }));
    const lines = formatFailure(
      new UnwindError(FailureType.InvalidCatalog, 'x', { details: { problems } }),
      false,
    ).split('\n');
    expect(lines).toHaveLength(52);
    expect(lines.at(-1)).toContain('10 more');
  });

  test('the stack of an unexpected error is for --log debug only', () => {
    const error = new Error('outer', { cause: new Error('inner') });
    expect(formatFailure(error, false)).toBe(
      'error: outer\nThis failure has no name in pg-unwind. Run the command again with --log debug for the stack.',
    );
    expect(formatFailure(error, true)).toMatch(/caused by Error: inner/);
  });

  test('programs get code, message and details', () => {
    const error = new UnwindError(FailureType.UnknownRelease, 'no v9', { details: { nearest: ['v8'] } });
    expect(reportOf(error)).toEqual({ code: 'UnknownRelease', message: 'no v9', details: { nearest: ['v8'] } });
    expect(reportOf(new Error('boom'))).toEqual({ code: 'Unexpected', message: 'boom', details: {} });
  });
});

test('no password leaves in a message or a stack', () => {
  const error = new Error('connecting to postgres://app:s3cr3t@db.internal:5432/x failed');
  expect(formatFailure(error, true)).not.toContain('s3cr3t');
  expect(reportOf(error).message).toContain('postgres://app:***@db.internal');
});
