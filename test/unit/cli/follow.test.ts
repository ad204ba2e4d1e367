import { describe, expect, test } from 'vitest';
import { followRun } from '../../../src/cli/follow.js';
import type { Runs, StatusAnswer } from '../../../src/cli/runs.js';
import { processTerminal } from '../../../src/cli/terminal.js';
import { FailureType, UnwindError } from '../../../src/contract/errors.js';
import type { StatusReport, UnwindReport } from '../../../src/contract/messages.js';
import { collectingTerminal } from './collecting-terminal.js';

const STATUS: StatusReport = {
  instance: 'acme-eu',
  direction: 'down',
  state: 'running',
  plan: 'a'.repeat(64),
  run: 'r',
  from: 'v2',
  to: 'v1',
  leg: 1,
  legs: 1,
  release: 'v1',
  stepsDone: 1,
  stepsTotal: 2,
  databases: {},
  data: [],
  waitingFor: null,
  estimatedEnd: null,
  parked: [],
  decisions: [],
  warnings: [],
  drift: {},
};

const REPORT: UnwindReport = {
  instance: 'acme-eu',
  direction: 'down',
  outcome: 'completed',
  plan: 'a'.repeat(64),
  run: 'r',
  from: 'v2',
  to: 'v1',
  standsAt: 'v1',
  stepsDone: 2,
  stepsTotal: 2,
  legs: [],
  decisions: [],
  warnings: [],
  drift: {},
};

/** A run that gives these answers in turn, the last one for ever, and then ends as `end` says. */
function scripted(answers: readonly StatusAnswer[], end: () => Promise<UnwindReport>): Runs & { cutOff: boolean } {
  const left = [...answers];
  let over: () => void = () => undefined;
  const allGiven = new Promise<void>((resolve) => (over = resolve));
  const unused = () => Promise.reject(new Error('not part of this test'));
  const runs = {
    cutOff: false,
    taskQueue: 'q',
    namespace: 'n',
    start: unused,
    findOpen: unused,
    describe: unused,
    update: unused,
    pollers: unused,
    figures: async () => new Map(),
    handle: () => {
      throw new Error('not part of this test');
    },
    status: async (): Promise<StatusAnswer> => {
      const answer = left.length > 1 ? left.shift()! : left[0]!;
      if (left.length === 1) over();
      return answer;
    },
    result: (_instance: string, signal?: AbortSignal): Promise<UnwindReport> => {
      signal?.addEventListener('abort', () => (runs.cutOff = true));
      return allGiven.then(end);
    },
  };
  return runs;
}

const answered = (status: Partial<StatusReport>): StatusAnswer => ({
  kind: 'answered',
  status: { ...STATUS, ...status },
});
const never = () => new Promise<never>(() => undefined);

function follow(runs: Runs, options: { json?: boolean; signal?: AbortSignal } = {}) {
  const terminal = collectingTerminal();
  const signal = options.signal ?? new AbortController().signal;
  const code = followRun(runs, terminal, { instance: 'acme-eu', json: options.json ?? false, signal, pollMs: 1 });
  return { terminal, code };
}

describe('following a run in plain lines', () => {
  test('a completed one ends with 0 and its closing line last', async () => {
    const { terminal, code } = follow(scripted([answered({}), answered({})], async () => REPORT));
    expect(await code).toBe(0);
    expect(terminal.printed.at(-1)).toBe('acme-eu stands at v1: 2 of 2 steps done, verified.');
  });

  test.each(['needsOperator', 'awaitingApproval'] as const)(
    'one in the state %s ends the watch with 3, and with the commands',
    async (state) => {
      const runs = scripted([answered({}), answered({ state })], never);
      const { terminal, code } = follow(runs);
      expect(await code).toBe(3);
      expect(terminal.printed.at(-1)).toContain('pg-unwind abort acme-eu');
      expect(runs.cutOff).toBe(true);
    },
  );

  test('an aborted one ends with 4', async () => {
    const { code } = follow(scripted([answered({})], async () => ({ ...REPORT, outcome: 'aborted' })));
    expect(await code).toBe(4);
  });

  test('a failed one throws what it failed with', async () => {
    const error = new UnwindError(FailureType.TargetNotReachable, 'no way down');
    const { code } = follow(scripted([answered({})], () => Promise.reject(error)));
    await expect(code).rejects.toBe(error);
  });

  test('Ctrl-C leaves the run alone, says so, and ends with 130', async () => {
    const { terminal, code } = follow(scripted([answered({})], never), { signal: AbortSignal.abort() });
    expect(await code).toBe(130);
    expect(terminal.complained.join()).toContain('the run of acme-eu goes on');
  });

  test('with --json there is one document and no progress', async () => {
    const { terminal, code } = follow(
      scripted([answered({}), answered({})], async () => REPORT),
      { json: true },
    );
    expect(await code).toBe(0);
    expect(JSON.parse(terminal.printed.join('\n'))).toEqual(REPORT);
  });

  test('a run that nobody answers for is waited for', async () => {
    const silent: StatusAnswer = { kind: 'unanswered', why: 'no worker answered in time' };
    const { code } = follow(scripted([silent, silent, answered({})], async () => REPORT));
    expect(await code).toBe(0);
  });
});

test('a pipe is no terminal, on CI either: plain lines without colours', () => {
  const terminal = processTerminal({ CI: '1' });
  expect(terminal.interactive).toBe(false);
  expect(terminal.colors.bold('x')).toBe('x');
});
