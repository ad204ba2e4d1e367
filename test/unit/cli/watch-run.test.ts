import { EventEmitter } from 'node:events';
import pc from 'picocolors';
import { afterEach, expect, test } from 'vitest';
import type { Runs } from '../../../src/cli/runs.js';
import { openScreen, type Display, type Keyboard } from '../../../src/cli/watch/screen.js';
import { watchRun } from '../../../src/cli/watch/watch-run.js';
import type { RunState, StatusReport, UnwindReport } from '../../../src/contract/messages.js';
import { until } from '../../support/until.js';

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

/** A terminal with a keyboard; what is written can be looked at. */
class FakeTerminal extends EventEmitter {
  columns = 60;
  rows = 12;
  writableNeedDrain = false;
  raw = false;
  written: string[] = [];
  setRawMode(on: boolean) {
    this.raw = on;
  }
  setEncoding() {}
  resume() {}
  pause() {}
  write(text: string) {
    this.written.push(text);
  }
  get text() {
    return this.written.join('');
  }
}

/** A run whose state the test sets, and which does as it is told. */
function fakeRun() {
  let finish: (report: UnwindReport) => void = () => undefined;
  const result = new Promise<UnwindReport>((resolve) => (finish = resolve));
  const unused = () => Promise.reject(new Error('not part of this test'));
  const run = {
    state: 'running' as RunState,
    updates: [] as { name: string; input: unknown }[],
    refuse: null as string | null,
    finish: () => finish({ instance: 'acme-eu', outcome: 'completed' } as UnwindReport), // nothing else of it is looked at
  };
  const status = () => ({ ...STATUS, state: run.state });
  const runs: Runs = {
    taskQueue: 'q',
    namespace: 'n',
    start: unused,
    findOpen: unused,
    describe: unused,
    pollers: unused,
    handle: () => {
      throw new Error('not part of this test');
    },
    figures: async () => new Map(),
    status: async () => ({ kind: 'answered', status: status() }),
    result: () => result,
    update: async (_, name, input) => {
      if (run.refuse !== null) throw new Error(run.refuse);
      run.updates.push({ name, input });
      if (name === 'pause') run.state = 'paused';
      if (name === 'resume') run.state = 'running';
      return status();
    },
  };
  return { run, runs };
}

function watch() {
  const terminal = new FakeTerminal();
  const { run, runs } = fakeRun();
  const controller = new AbortController();
  const ended = watchRun(
    runs,
    (events) => openScreen(terminal as unknown as Keyboard, terminal as Display, events), // a fake of both ends
    pc.createColors(false),
    { instance: 'acme-eu', by: 'eve', startedAt: Date.now(), signal: controller.signal, pollMs: 1 },
  );
  const seen = (text: string) =>
    until(() => terminal.text.includes(text), {
      within: 5_000,
      describe: `"${text}" on the screen`,
      show: () => terminal.text,
    });
  const press = (key: string) => terminal.emit('data', key);
  return { terminal, run, ended, seen, press, controller };
}

const LEFT = '\x1b[?7h\x1b[?25h\x1b[?1049l';
let current: ReturnType<typeof watch>;
afterEach(async () => {
  current.controller.abort();
  await current.ended.catch(() => undefined);
  expect(current.terminal.raw).toBe(false);
  expect(current.terminal.written.at(-1)).toBe(LEFT);
  expect(current.terminal.eventNames()).toEqual([]);
});

test('p pauses and r resumes, in the name of who watches', async () => {
  current = watch();
  const { run, seen, press } = current;
  await seen('p pause');
  press('p');
  await seen('r resume');
  press('r');
  await until(() => run.updates.length === 2, { within: 5_000, describe: 'both updates' });
  expect(run.updates).toEqual([
    { name: 'pause', input: { by: 'eve' } },
    { name: 'resume', input: { by: 'eve' } },
  ]);
});

test('a asks first: anything but y leaves the run alone', async () => {
  current = watch();
  const { run, seen, press, terminal } = current;
  await seen('a abort');
  press('a');
  await seen('y/N');
  press('n');
  press('y');
  expect(run.updates).toEqual([]);
  terminal.written.length = 0;
  press('a');
  await seen('y/N');
  press('y');
  await until(() => run.updates.length === 1, { within: 5_000, describe: 'the abort' });
  expect(run.updates).toEqual([{ name: 'abort', input: { by: 'eve' } }]);
});

test('q leaves, and sends the run nothing', async () => {
  current = watch();
  await current.seen('q leave');
  current.press('q');
  expect(await current.ended).toMatchObject({ kind: 'left', status: { state: 'running' } });
  expect(current.run.updates).toEqual([]);
});

test('what the run refuses is on the screen', async () => {
  current = watch();
  current.run.refuse = 'it is verifying';
  await current.seen('p pause');
  current.press('p');
  await current.seen('it is verifying');
});

test('the end of the run is the end of the watch', async () => {
  current = watch();
  await current.seen('running');
  current.run.state = 'completed';
  current.run.finish();
  expect(await current.ended).toMatchObject({
    kind: 'ended',
    report: { outcome: 'completed' },
    status: { state: 'completed' },
  });
});

test('a frame writes only rows that have changed, all of them after a resize, and none while one is on its way', async () => {
  const terminal = new FakeTerminal();
  const screen = openScreen(terminal as unknown as Keyboard, terminal as Display, {
    onKey: () => undefined,
    onResize: () => undefined,
  });
  current = { ...watch(), terminal };
  const frames = (...lines: string[]) => {
    terminal.written.length = 0;
    screen.draw(lines);
    return terminal.written;
  };
  expect(frames('a', 'b')).toEqual(['\x1b[1;1H\x1b[Ka\x1b[2;1H\x1b[Kb']);
  expect(frames('a', 'b')).toEqual([]);
  expect(frames('a', 'c')).toEqual(['\x1b[2;1H\x1b[Kc']);
  terminal.writableNeedDrain = true;
  expect(frames('a', 'd')).toEqual([]);
  terminal.writableNeedDrain = false;
  terminal.emit('resize');
  expect(frames('a', 'd')).toEqual(['\x1b[1;1H\x1b[Ka\x1b[2;1H\x1b[Kd']);
  screen.close();
});
