import { describe, expect, test } from 'vitest';
import { createFigures, withFigures, type DataFigures } from '../../../src/cli/data-figures.js';
import { dataLines } from '../../../src/cli/data-lines.js';
import { plainView } from '../../../src/cli/follow.js';
import { progressLine } from '../../../src/cli/progress.js';
import type { DataProgress, StatusReport } from '../../../src/contract/messages.js';
import { collectingTerminal } from './collecting-terminal.js';

const data = (id: string, extra: Partial<DataProgress> = {}): DataProgress => ({
  id,
  database: 'orders',
  description: 'Writes the tracking numbers in the carriers’ form',
  act: 'reverse',
  done: false,
  activityId: `orders-data-${id}-reverse`,
  running: false,
  ...extra,
});

const STATUS: StatusReport = {
  instance: 'acme-eu',
  direction: 'down',
  state: 'running',
  plan: 'a'.repeat(64),
  run: 'r',
  from: 'v3.0.0',
  to: 'v1.0.0',
  leg: 2,
  legs: 7,
  release: 'v2.1.0',
  stepsDone: 21,
  stepsTotal: 62,
  databases: {},
  data: [data('3', { done: true }), data('7', { running: true }), data('12')],
  waitingFor: null,
  estimatedEnd: null,
  parked: [],
  decisions: [],
  warnings: [],
  drift: {},
};

const BEAT: DataFigures = {
  doing: 'moving rows',
  batches: 40,
  rows: 1_234_000,
  batchRows: 30_000,
  rowsPerSecond: 52_000,
  progress: 0.53,
  secondsLeft: 185,
};

const shown = (figures?: DataFigures) =>
  withFigures(STATUS, new Map(figures === undefined ? [] : [['orders-data-7-reverse', figures]]));
const lines = (status: StatusReport) => dataLines(status, collectingTerminal({ columns: 150 }));

describe('the data migrations of the leg', () => {
  test('one that calls of the product move has the figures of the run, and says what the call under way is doing', () => {
    const activity = { taskQueue: 'shop-data', type: 'sealEmails' };
    const own = (figures: DataFigures) => ({ ...STATUS, data: [data('7', { running: true, activity, figures })] });
    const beats = (doing: string) => new Map([['orders-data-7-reverse', { doing, rows: 3 }]]);
    const [line] = lines(withFigures(own(BEAT), beats('seal\u001b[31ming')));
    expect(line).toContain('47%  1,234,000 rows · 52,000 rows/s · 3 min 5 s left · seal [31ming');
    expect(lines(withFigures(own(BEAT), new Map()))[0]).toMatch(/3 min 5 s left$/);
    expect(lines(withFigures(own({ ...BEAT, doing: 'waits for a worker' }), beats('attempt 1')))[0]).toMatch(
      / · waits for a worker$/,
    );
  });

  test('what is done, what moves with its figures, and what waits have a line each', () => {
    const [done, moving, waiting] = lines(shown(BEAT));
    expect(done).toBe(`  orders data migration 3 reverse  ${'█'.repeat(24)} 100%  done`);
    expect(moving).toBe(
      `  orders data migration 7 reverse  ${'█'.repeat(11)}${'░'.repeat(13)}  47%  ` +
        '1,234,000 rows · 52,000 rows/s · 3 min 5 s left',
    );
    expect(waiting).toMatch(/^ {2}orders data migration 12 reverse ░{24} {7}waits · Writes the tracking/);
  });

  test('on the way up the bar is the progress itself', () => {
    const status = { ...shown(BEAT) };
    const forward = status.data.map((each) => ({ ...each, act: 'forward' as const }));
    expect(lines({ ...status, data: forward })[1]).toContain(' 53%  ');
  });

  test('without a figure yet the bar is empty and says what it is doing', () => {
    expect(lines(shown({ doing: 'reading the journal' }))[1]).toMatch(/░{24} {7}reading the journal$/);
    expect(lines(shown())[1]).toMatch(/░{24} {7}about to begin$/);
  });

  test('what holds it up stands beside its figures', () => {
    const doing = 'waits for RowExclusiveLock on public.orders';
    expect(lines(shown({ ...BEAT, doing }))[1]).toMatch(/3 min 5 s left · waits for RowExclusiveLock/);
  });

  test('a parked one says so, and one that is left alone is not called done', () => {
    const parked: StatusReport['parked'] = [
      {
        database: 'orders',
        seq: null,
        migration: '7',
        during: 'data',
        failure: 'DataStalled',
        message: '',
        reasons: [],
        since: '',
      },
    ];
    const status = { ...STATUS, parked, data: [data('7'), data('8', { act: 'leave', done: true })] };
    expect(lines(status)[0]).toMatch(/ {2}parked$/);
    expect(lines(status)[1]).toMatch(/left as it is$/);
  });

  test('no line is wider than the terminal', () => {
    for (const line of dataLines(shown(BEAT), collectingTerminal({ columns: 90 })))
      expect(line.length).toBeLessThanOrEqual(90);
  });
});

describe('plain lines', () => {
  test('a line of progress has the figures of what moves', () => {
    expect(progressLine(shown(BEAT))).toBe(
      'acme-eu running · leg 2/7 → v2.1.0 · 21 of 62 steps · ' +
        'orders data migration 7 reverse 47%, 1,234,000 rows, 52,000 rows/s, 3 min 5 s left',
    );
  });

  test('where nobody was asked for figures the line claims none', () => {
    expect(progressLine(STATUS)).toMatch(/ · orders data migration 7 reverse under way$/);
    expect(progressLine(shown())).toMatch(/ · orders data migration 7 reverse about to begin$/);
  });

  test('one comes when data begins to move, and every ten seconds while it does', () => {
    const terminal = collectingTerminal();
    let now = 0;
    const view = plainView(terminal, () => now);
    view.show({ ...STATUS, data: [data('7')] });
    expect(terminal.printed).toHaveLength(1);
    view.show(shown());
    expect(terminal.printed).toHaveLength(2);
    now = 9_900;
    view.show(shown(BEAT));
    expect(terminal.printed).toHaveLength(2);
    now = 10_000;
    view.show(shown(BEAT));
    expect(terminal.printed).toHaveLength(3);
    expect(terminal.printed[2]).toContain('47%');
  });
});

test('Temporal is asked for figures at most once a second, and only while something is under way', async () => {
  let asked = 0;
  let now = 0;
  const figures = async () => {
    asked += 1;
    return new Map([['orders-data-7-reverse', BEAT]]);
  };
  const figured = createFigures({ figures }, 'acme-eu', () => now);
  expect((await figured({ ...STATUS, data: [data('7')] })).data[0]?.figures).toBeNull();
  expect(asked).toBe(0);
  expect((await figured(STATUS)).data[1]?.figures).toEqual(BEAT);
  now = 999;
  expect((await figured(STATUS)).data[1]?.figures).toEqual(BEAT);
  expect(asked).toBe(1);
  now = 1_000;
  await figured(STATUS);
  expect(asked).toBe(2);
});
