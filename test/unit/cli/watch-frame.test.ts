import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import type { DataFigures } from '../../../src/cli/data-figures.js';
import { frame, type Shown, type Size } from '../../../src/cli/watch/frame.js';
import { happened } from '../../../src/cli/watch/happened.js';
import { keyIn, keysFor } from '../../../src/cli/watch/keys.js';
import { fitted, line, wrapped } from '../../../src/cli/watch/line.js';
import { tickedBar } from '../../../src/cli/watch/ticks.js';
import type { StatusReport } from '../../../src/contract/messages.js';

const PLAIN = pc.createColors(false);

const STATUS: StatusReport = {
  instance: 'acme-eu',
  direction: 'down',
  state: 'running',
  plan: 'a'.repeat(64),
  run: 'r',
  from: 'v3.0.0',
  to: 'v1.0.0',
  leg: 2,
  legs: 3,
  release: 'v1.1.0',
  stepsDone: 15,
  stepsTotal: 50,
  databases: {
    frontend: {
      done: 12,
      total: 40,
      boundaries: [10, 20, 40],
      current: { seq: 13, migration: '1528395717', name: 'add_orders_index' },
      lastCheck: { clean: true, how: 'quiet', at: '2026-11-23T16:02:11.042Z' },
    },
    codeintel: { done: 3, total: 10, boundaries: [3, 5, 10], current: null, lastCheck: null },
  },
  data: [],
  waitingFor: null,
  estimatedEnd: null,
  parked: [],
  decisions: [{ kind: 'resume', by: 'eve', why: null, at: '2026-11-23T16:01:00.000Z' }],
  warnings: [],
  drift: {},
};

const PARKED: StatusReport = {
  ...STATUS,
  state: 'needsOperator',
  waitingFor: 'the update "retryStep"',
  parked: [
    {
      database: 'frontend',
      seq: 13,
      migration: '1528395717',
      during: 'check',
      failure: 'DirtyDatabase',
      message: '"frontend" is not in the state that step 13 starts from. Nothing was changed.',
      reasons: [{ code: 'invalidIndex', database: 'frontend', evidence: 'index x is invalid.', remedy: 'Drop it.' }],
      since: '2026-11-23T16:02:12.000Z',
    },
  ],
};

const WAITS: DataFigures = {
  doing:
    'waits for AccessExclusiveLock on public.orders, held up by process 4711 (psql, user eve, idle in transaction for 12 min)',
  seconds: 31,
};

function shown(status: StatusReport | null, extra: Partial<Shown> = {}): Shown {
  return {
    instance: 'acme-eu',
    status,
    figures: new Map([['frontend-0013-down', WAITS]]),
    elapsedMs: 65_000,
    now: 0,
    silence: null,
    happened: status === null ? [] : happened(null, status, '2026-11-23T16:02:20.000Z'),
    keys: keysFor(status),
    message: null,
    question: null,
    ...extra,
  };
}

const drawn = (status: StatusReport | null, size: Size, extra?: Partial<Shown>) =>
  frame(shown(status, extra), size, PLAIN);
const WIDE: Size = { columns: 80, rows: 24 };
const SMALL: Size = { columns: 40, rows: 10 };

describe('a frame', () => {
  test('at 80 columns and 24 rows has all of it', () => {
    expect(drawn(STATUS, WIDE).join('\n')).toMatchInlineSnapshot(`
      "acme-eu  running  v3.0.0 ↓ v1.0.0
      1 min 5 s · leg 2/3 → v1.1.0 · 15 of 50 steps

      frontend  ██████│░░░░░│░░░░░░░░░░░ 12/40  30%  31 s · 1528395717 add_orders_ind…
        ↳ waits for AccessExclusiveLock on public.orders, held up by process 4711
          (psql, user eve, idle in transaction for 12 min)
      codeintel ███████│░░░░│░░░░░░░░░░░  3/10  30%  

      last checks: frontend clean (quiet) 16:02:11

      16:01:00 UTC  decided: resume by eve












      p pause   a abort   q leave (the run goes on)"
    `);
  });

  test('at 40 columns and 10 rows keeps what matters first', () => {
    expect(drawn(STATUS, SMALL).join('\n')).toMatchInlineSnapshot(`
      "acme-eu  running  v3.0.0 ↓ v1.0.0
      1 min 5 s · leg 2/3 → v1.1.0 · 15 of 50…
      frontend  ██│░░│░░░░ 12/40  30%  31 s ·…
        ↳ waits for AccessExclusiveLock on
          public.orders, held up by process
          4711 (psql, user eve, idle in
          transaction for 12 min)
      codeintel ███│░│░░░░  3/10  30%  
      last checks: frontend clean (quiet) 16:…
      p pause   a abort   q leave (the run go…"
    `);
  });

  test('of a parked run has what was found and the commands, in whole words', () => {
    expect(drawn(PARKED, WIDE).join('\n')).toMatchInlineSnapshot(`
      "acme-eu  needs an operator  v3.0.0 ↓ v1.0.0
      1 min 5 s · leg 2/3 → v1.1.0 · 15 of 50 steps

      frontend  ██████│░░░░░│░░░░░░░░░░░ 12/40  30%  parked
      codeintel ███████│░░░░│░░░░░░░░░░░  3/10  30%  

      acme-eu needs an operator
      frontend 1528395717: DirtyDatabase during check, since 2026-11-23T16:02:12.000Z
        "frontend" is not in the state that step 13 starts from. Nothing was changed.
        - frontend invalidIndex: index x is invalid. What to do: Drop it.
      What was found may stay as it is:
        pg-unwind accept acme-eu invalidIndex --why '…'
      When the cause is gone, go on; or end the run where it stands:
        pg-unwind retry acme-eu
        pg-unwind abort acme-eu

      last checks: frontend clean (quiet) 16:02:11

      16:01:00 UTC  decided: resume by eve
      16:02:12 UTC  frontend 1528395717 parked: DirtyDatabase during check



      r retry   a abort   q leave (the run goes on)"
    `);
  });

  test('of a parked run on a short terminal says where the rest is to be read', () => {
    expect(drawn(PARKED, SMALL).join('\n')).toMatchInlineSnapshot(`
      "acme-eu  needs an operator  v3.0.0 ↓ v1…
      1 min 5 s · leg 2/3 → v1.1.0 · 15 of 50…
      frontend  ██│░░│░░░░ 12/40  30%  parked
      codeintel ███│░│░░░░  3/10  30%  
      acme-eu needs an operator
      frontend 1528395717: DirtyDatabase
      … 12 more: pg-unwind status acme-eu
        pg-unwind retry acme-eu
        pg-unwind abort acme-eu
      r retry   a abort   q leave (the run go…"
    `);
  });

  test('of a run that waits for consent has the whole command to give it, however short the terminal is', () => {
    const plan = `3fc8${'0123456789ab'.repeat(5)}`;
    const waiting: StatusReport = { ...STATUS, state: 'awaitingApproval', plan, waitingFor: 'x '.repeat(800) };
    for (const size of [SMALL, { columns: 60, rows: 12 }, { columns: 80, rows: 24 }]) {
      const rows = drawn(waiting, size, { figures: new Map() });
      const from = rows.findIndex((row) => row.startsWith('  pg-unwind approve'));
      const end = rows.indexOf('  pg-unwind abort acme-eu');
      const command = rows.slice(from, end).map((row) => row.trim());
      expect(command.join('').replaceAll(' ', '')).toBe(`pg-unwindapproveacme-eu--plan${plan}`);
      expect(rows.join('\n')).toMatch(/… \d+ more: pg-unwind status acme-eu/);
    }
  });

  test('before the first answer names the run, and who could answer', () => {
    const silence = { why: 'no worker polls the task queue', ms: 7_000 };
    expect(drawn(null, SMALL, { silence }).join('\n')).toMatchInlineSnapshot(`
      "acme-eu
      waits for the first answer of the run

      No answer for 7 s: no worker polls the
        task queue. The run is safe and waits.
        Start a worker with "pg-unwind
        worker".


      q leave (the run goes on)"
    `);
  });

  test('never has more rows or columns than the terminal, whatever the size and the names', () => {
    const names = {
      ...STATUS.databases.frontend!,
      current: { seq: 13, migration: '1', name: '表示名\u0007を変更する'.repeat(20) },
    };
    for (const status of [STATUS, PARKED, { ...STATUS, databases: { ...STATUS.databases, frontend: names } }, null]) {
      for (const rows of [1, 2, 3, 5, 8, 24]) {
        for (const columns of [1, 2, 10, 39, 80, 200]) {
          const lines = drawn(status, { columns, rows }, { message: 'refused: '.repeat(30) });
          expect(lines).toHaveLength(rows);
          for (const each of lines)
            expect(each.replace(/[^\0-\u02ff│█░…↓→↳·]/gu, 'WW').length).toBeLessThanOrEqual(columns);
        }
      }
    }
  });

  test('between two attempts says what the last one met, to the end of the sentence', () => {
    const told: DataFigures = {
      doing: 'attempt 4 waits for its turn and for a worker (the last one ended: StepInterrupted)',
      failed:
        'Another transaction was in the way at statement 1 of passkeys: it had to wait for process 3982 (report-builder)',
      seconds: 3,
    };
    const text = drawn(STATUS, WIDE, { figures: new Map([['frontend-0013-down', told]]) }).join('\n');
    expect(text).toMatch(/↳ attempt 4 soon: Another transaction[^]*process 3982[^]*\(report-builder\)/);
    expect(text).not.toContain('3 s · 1528395717');
  });

  test('has a question in place of the hints, and what became of a key above them', () => {
    expect(drawn(STATUS, SMALL, { question: 'Abort? y/N' }).at(-1)).toBe('Abort? y/N');
    expect(drawn(STATUS, SMALL, { message: 'pause …' }).join('\n')).toContain('\npause …\n');
  });
});

test('a bar has ticks where releases end, none side by side, and is full only at the end', () => {
  expect(tickedBar(12, 40, [10, 20, 40], 20)).toBe('█████│░░░░│░░░░░░░░░');
  expect(tickedBar(40, 40, [10, 11, 20, 40], 20)).toBe('█████│████│█████████');
  expect(tickedBar(39, 40, [], 10)).toBe('█████████░');
  expect(tickedBar(0, 0, [0, 0], 4)).toBe('░░░░');
});

test('a text is broken between words, and a long word within itself', () => {
  expect(wrapped('  one two three', 9)).toEqual(['  one two', '    three']);
  expect(wrapped('abcdefgh', 5)).toEqual(['abcde', '  fgh']);
  expect(fitted([...line('abc'), ...line('defgh')], 6, PLAIN)).toBe('abcde…');
  expect(fitted(line('a\x1b[31mb'), 20, PLAIN)).toBe('a [31mb');
});

describe('keys', () => {
  const labels = (status: StatusReport | null) => keysFor(status).map(({ key, label }) => `${key} ${label}`);
  const LEAVE = 'q leave (the run goes on)';

  test.each([
    ['running', {}, ['p pause', 'a abort', LEAVE]],
    ['paused', {}, ['r resume', 'a abort', LEAVE]],
    ['needsOperator', { parked: PARKED.parked }, ['r retry', 'a abort', LEAVE]],
    ['atStop', {}, ['r continue', 'a abort', LEAVE]],
    ['awaitingApproval', {}, ['a abort', LEAVE]],
    ['completed', {}, [LEAVE]],
  ] as const)('that fit the state %s', (state, extra, expected) => {
    expect(labels({ ...STATUS, ...extra, state })).toEqual(expected);
  });

  test('one retry for each database that is parked, and the release of a stop as a guard', () => {
    const second = { ...PARKED.parked[0]!, database: 'codeintel' };
    const [retry] = keysFor({ ...PARKED, parked: [...PARKED.parked, second] });
    expect(retry).toMatchObject({
      label: 'retry all 2',
      inputs: [{ database: 'frontend' }, { database: 'codeintel' }],
    });
    const [go] = keysFor({ ...STATUS, state: 'atStop' });
    expect(go).toMatchObject({ update: 'continue', inputs: [{ release: 'v1.1.0' }] });
    expect(labels(null)).toEqual([LEAVE]);
  });

  test('an arrow or a paste is no key; Ctrl-C leaves', () => {
    expect(['p', 'A', '\u0003', '\x1b[A', 'please abort', '\r'].map(keyIn)).toEqual(['p', 'a', 'q', null, null, null]);
  });
});

test('what happened between two looks: steps, legs, states, decisions', () => {
  const after: StatusReport = {
    ...STATUS,
    state: 'paused',
    leg: 3,
    release: 'v1.0.0',
    databases: {
      frontend: { ...STATUS.databases.frontend!, done: 13, current: null },
      codeintel: { ...STATUS.databases.codeintel!, done: 5 },
    },
    decisions: [...STATUS.decisions, { kind: 'pause', by: 'eve', why: 'the disk', at: '2026-11-23T16:03:00.000Z' }],
  };
  expect(happened(STATUS, after, 'now').map(({ text }) => text)).toEqual([
    'decided: pause by eve: the disk',
    'frontend 1528395717 add_orders_index done',
    'codeintel 5 of 10 steps done',
    'leg 3/3 → v1.0.0',
    'paused',
  ]);
  expect(happened(STATUS, STATUS, 'now')).toEqual([]);
});
