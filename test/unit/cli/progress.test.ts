import { describe, expect, test } from 'vitest';
import { createFigures, withFigures, type DataFigures } from '../../../src/cli/data-figures.js';
import { plainView } from '../../../src/cli/follow.js';
import { bar, durationText, percent } from '../../../src/cli/bars.js';
import { closingLine, progressBlock, progressLine, waitingLines } from '../../../src/cli/progress.js';
import type { StatusReport, UnwindReport } from '../../../src/contract/messages.js';
import { collectingTerminal } from './collecting-terminal.js';

const STATUS: StatusReport = {
  instance: 'acme-eu',
  direction: 'down',
  state: 'running',
  plan: 'a'.repeat(64),
  run: '0b0e9c6e-0000-4000-8000-000000000000',
  from: 'v7.2.0',
  to: 'v5.8.1579',
  leg: 3,
  legs: 19,
  release: 'v6.4.0',
  stepsDone: 43,
  stepsTotal: 309,
  databases: {
    frontend: {
      done: 40,
      total: 259,
      current: { seq: 41, migration: '1771010057', name: 'deepsearch_question_jobs' },
      lastCheck: null,
    },
    codeintel: { done: 3, total: 50, current: null, lastCheck: null },
  },
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
  run: STATUS.run,
  from: 'v7.2.0',
  to: 'v5.8.1579',
  standsAt: 'v5.8.1579',
  stepsDone: 309,
  stepsTotal: 309,
  legs: [],
  decisions: [],
  warnings: [],
  drift: {},
};

const PARKED: StatusReport = {
  ...STATUS,
  state: 'needsOperator',
  parked: [
    {
      database: 'frontend',
      seq: 41,
      migration: '1771010057',
      during: 'check',
      failure: 'DirtyDatabase',
      message: '"frontend" is not in the state that step 41 starts from.',
      reasons: [{ code: 'invalidIndex', database: 'frontend', evidence: 'index x is invalid', remedy: 'Drop it.' }],
      since: '2026-11-23T06:00:00.000Z',
    },
  ],
};

describe('progress', () => {
  test('a plain line says state, leg, steps and each database', () => {
    expect(progressLine(STATUS)).toBe(
      'acme-eu running · leg 3/19 → v6.4.0 · 43 of 309 steps (frontend 40/259, codeintel 3/50)',
    );
  });

  test('before there is a plan the line names the state only', () => {
    const planning: StatusReport = {
      ...STATUS,
      state: 'planning',
      leg: null,
      legs: 0,
      release: null,
      stepsDone: 0,
      stepsTotal: 0,
      databases: {},
    };
    expect(progressLine(planning)).toBe('acme-eu planning');
  });

  test('a hook that is called is named; one that has taken it up leaves the run waiting', () => {
    const hook = { name: 'before', kind: 'webhook', activityId: 'before', state: 'calling' } as const;
    const atStop: StatusReport = { ...STATUS, state: 'atStop', hook };
    expect(progressLine(atStop)).toMatch(/^acme-eu calls hooks\.before · /);
    expect(progressLine({ ...atStop, hook: { ...hook, state: 'waiting' } })).toMatch(
      /^acme-eu waits for the application · /,
    );
  });

  test('a hook that is called again shows why, and one that is parked can be told to have been done by hand', () => {
    const hook = { name: 'atStop', kind: 'webhook', activityId: 'hook-atStop-v6.4.0', state: 'calling' } as const;
    const waitingFor = 'the webhook hooks.atStop to answer: all databases stand at v6.4.0';
    const calling = { ...STATUS, state: 'atStop', waitingFor, hook: { ...hook, failed: 'It answered 503.' } } as const;
    expect(waitingLines(calling, collectingTerminal().colors)).toEqual([
      '',
      `It waits for ${waitingFor}.`,
      '  It answered 503.',
    ]);
    const parked = waitingLines({ ...PARKED, hook }, collectingTerminal().colors).join('\n');
    expect(parked).toMatch(/pg-unwind retry acme-eu\n +pg-unwind continue acme-eu +# what hooks\.atStop is for/);
  });

  test('the block has one bar per database, and its lines fit the terminal', () => {
    const lines = progressBlock(STATUS, collectingTerminal({ columns: 72 }), 1500).split('\n');
    expect(lines[0]).toBe('acme-eu v7.2.0 ↓ v5.8.1579  running · leg 3/19 → v6.4.0 · 43 of 309 steps · 1.5 s');
    expect(lines[1]).toMatch(/^ {2}frontend {2}█{3}░{21} {2}40\/259 {2}15% {2}1771010057 /);
    expect(lines[1]?.endsWith('…')).toBe(true);
    expect(lines[2]).toMatch(/^ {2}codeintel █░{23} {4}3\/50 {3}6%$/);
    for (const line of lines.slice(1)) expect(line.length).toBeLessThanOrEqual(72);
  });

  test('a bar is full only when everything is done', () => {
    expect(bar(258, 259, 10)).toBe('█████████░');
    expect(bar(259, 259, 10)).toBe('██████████');
  });

  test('where there is nothing to do the bar is empty, and nobody claims 100 %', () => {
    expect(bar(0, 0, 4)).toBe('░░░░');
    expect(percent(0, 0)).toBe('');
    const insights = { done: 0, total: 0, current: null, lastCheck: null };
    const status = { ...STATUS, databases: { ...STATUS.databases, insights } };
    expect(progressBlock(status, collectingTerminal(), 0).split('\n')[3]).toMatch(
      /^ {2}insights {2}░{24} {5}0\/0 {7}nothing to do$/,
    );
  });

  test('plain lines come at a change of state or leg, and every two seconds in between', () => {
    const terminal = collectingTerminal();
    let now = 0;
    const view = plainView(terminal, () => now);
    view.show(STATUS);
    view.show({ ...STATUS, stepsDone: 44 });
    expect(terminal.printed).toHaveLength(1);
    now = 2_500;
    view.show({ ...STATUS, stepsDone: 90 });
    expect(terminal.printed).toHaveLength(2);
    view.show({ ...STATUS, stepsDone: 91, leg: 4, release: 'v6.3.0' });
    expect(terminal.printed).toHaveLength(3);
    view.show({ ...PARKED, stepsDone: 91, leg: 4 });
    expect(terminal.printed).toHaveLength(4);
    now = 10_000;
    view.show({ ...PARKED, stepsDone: 91, leg: 4 });
    expect(terminal.printed).toHaveLength(4);
  });
});

describe('what holds up a step', () => {
  const WAITS: DataFigures = {
    doing: 'waits for AccessExclusiveLock on public.jobs, held up by "psql" (process 4711)',
  };
  const held = (figures: DataFigures, status = STATUS) =>
    withFigures(status, new Map([['frontend-0041-down', figures]]));

  test('stands under its database', () => {
    const lines = progressBlock(held(WAITS), collectingTerminal(), 0).split('\n');
    expect(lines[2]).toBe(`    ↳ ${WAITS.doing}`);
    expect(lines[3]).toContain('codeintel');
  });

  test('between two attempts it is what the last one met', () => {
    const failed = 'Another transaction was in the way: "psql" (process 4711).';
    const between = { doing: 'attempt 7 waits for its turn and for a worker (the last one ended: x)', failed };
    expect(held(between).held).toEqual({ frontend: `attempt 7 soon: ${failed}` });
  });

  test('is not said of a step that simply runs, or is parked', () => {
    expect(held({ doing: 'running', seconds: 4 })).not.toHaveProperty('held');
    expect(held(WAITS, PARKED)).not.toHaveProperty('held');
  });

  test('is asked for while a step is under way', async () => {
    const figured = createFigures({ figures: async () => new Map([['frontend-0041-down', WAITS]]) }, 'acme-eu');
    expect((await figured(STATUS)).held).toEqual({ frontend: WAITS.doing });
  });

  test('has a plain line of its own once nothing was said for ten seconds, and not twice', () => {
    const terminal = collectingTerminal();
    let now = 0;
    const view = plainView(terminal, () => now);
    view.show(held(WAITS));
    now = 9_900;
    view.show(held(WAITS));
    expect(terminal.printed.join('\n')).not.toContain('psql');
    now = 10_000;
    view.show(held(WAITS));
    now = 80_000;
    view.show(held(WAITS));
    expect(terminal.printed).toHaveLength(2);
    expect(terminal.printed[1]).toMatch(/ · frontend waits for AccessExclusiveLock on public\.jobs, held up by "psql"/);
  });

  test('in other words comes a minute later, or behind another step sooner', () => {
    const terminal = collectingTerminal();
    let now = 0;
    const view = plainView(terminal, () => now);
    const again = { doing: 'waits for AccessExclusiveLock on public.jobs' };
    const steps = [0, 20_000, 60_000, 80_000].map((at) => {
      now = at;
      view.show(held(at === 20_000 ? WAITS : again));
      return terminal.printed.length;
    });
    expect(steps).toEqual([1, 2, 2, 3]);
    now = 83_000;
    view.show(held(WAITS, { ...STATUS, stepsDone: 44 }));
    expect(terminal.printed.at(-1)).not.toContain('waits for');
    now = 94_000;
    view.show(held(WAITS, { ...STATUS, stepsDone: 44 }));
    expect(terminal.printed.at(-1)).toContain('psql');
  });
});

describe('what a waiting run says', () => {
  const { colors } = collectingTerminal();

  test('nothing while it runs', () => expect(waitingLines(STATUS, colors)).toEqual([]));

  test('a parked one shows what was found, the remedy and the next commands', () => {
    const text = waitingLines(PARKED, colors).join('\n');
    expect(text).toContain('frontend 1771010057: DirtyDatabase during check, since 2026-11-23T06:00:00.000Z');
    expect(text).toContain('- frontend invalidIndex: index x is invalid What to do: Drop it.');
    expect(text).toContain('pg-unwind retry acme-eu\n');
    expect(text).toContain('pg-unwind abort acme-eu');
  });

  test('with several parked databases each has its command', () => {
    const second = { ...PARKED.parked[0]!, database: 'codeintel' };
    const text = waitingLines({ ...PARKED, parked: [...PARKED.parked, second] }, colors).join('\n');
    expect(text).toContain('pg-unwind retry acme-eu --database frontend');
    expect(text).toContain('pg-unwind retry acme-eu --database codeintel');
  });

  test('one that waits for consent names the plan in the command to copy', () => {
    const text = waitingLines({ ...STATUS, state: 'awaitingApproval' }, colors).join('\n');
    expect(text).toContain(`pg-unwind approve acme-eu --plan ${'a'.repeat(64)}`);
    expect(text).toContain('pg-unwind plan acme-eu --to v5.8.1579\n');
  });
});

describe('the last line', () => {
  test('of a successful run says where the instance stands', () => {
    expect(closingLine(REPORT)).toBe('acme-eu stands at v5.8.1579: 309 of 309 steps done, verified.');
  });

  test('of one that met drift counts the differences that are listed above it', () => {
    const line = (drift: UnwindReport['drift']) => closingLine({ ...REPORT, drift });
    expect(line({ frontend: ['a'] })).toBe(
      'acme-eu stands at v5.8.1579: 309 of 309 steps done, verified but for 1 difference from what it was there before (above).',
    );
    expect(line({ frontend: ['a', 'b'], codeintel: ['c'] })).toContain('verified but for 3 differences from');
  });

  test('of one that had nothing to do says so', () => {
    expect(closingLine({ ...REPORT, outcome: 'alreadyThere', stepsDone: 0, stepsTotal: 0 })).toBe(
      'acme-eu already stands at v5.8.1579: nothing to do, checked.',
    );
  });

  test('of an aborted one names the last verified release and how to go on', () => {
    const line = closingLine({ ...REPORT, outcome: 'aborted', stepsDone: 100, standsAt: 'v6.4.0' });
    expect(line).toContain('100 of 309 steps done, last verified release v6.4.0.');
    expect(line).toContain('pg-unwind downgrade acme-eu --to v5.8.1579');
  });

  test('of one that was aborted before its first step says where it began, and not that it stands between releases', () => {
    const early: UnwindReport = { ...REPORT, outcome: 'aborted', stepsDone: 0, standsAt: null };
    expect(closingLine(early)).toContain('by an operator: 0 of 309 steps done, it began at v7.2.0. Start "pg-unwind');
    expect(closingLine({ ...early, from: null })).toContain('0 of 309 steps done, between releases.');
    expect(closingLine({ ...early, stepsDone: 3 })).toContain('3 of 309 steps done, between releases.');
    expect(closingLine({ ...early, plan: null, from: null, stepsTotal: 0 })).toContain(
      'was stopped by an operator before it had a plan: no step was done. Start "pg-unwind downgrade acme-eu',
    );
  });
});

test.each([
  [1_234, '1.2 s'],
  [45_000, '45 s'],
  [125_000, '2 min 5 s'],
  [7_500_000, '2 h 5 min'],
])('%i ms reads %s', (ms, text) => expect(durationText(ms)).toBe(text));
