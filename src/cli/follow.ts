import { setTimeout as sleep } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import { ExitCode } from '../contract/errors.js';
import type { StatusReport, UnwindReport } from '../contract/messages.js';
import { createFigures, type ShownStatus } from './data-figures.js';
import { dataMoving } from './data-lines.js';
import {
  closingLine,
  commandOperands,
  heldText,
  progressBlock,
  progressLine,
  reportNotes,
  waitingLines,
  waitsForPerson,
} from './progress.js';
import type { Runs } from './runs.js';
import { printJson, type Terminal } from './terminal.js';

const POLL_MS = 300;
/** Plain progress between two changes of state or leg. */
const LINE_EVERY_MS = 2_000;
/** Data can move for hours within one step, and a forgotten session can hold one up as long. */
const DATA_LINE_EVERY_MS = 10_000;
/** An attempt and the pause behind it have words of their own, again and again. */
const HELD_LINE_EVERY_MS = 60_000;
/** A worker that starts takes a second or two; only a longer silence is worth a word. */
const SILENCE_MS = 5_000;

/** Ctrl-C while following: the shell's own number for it, since the job is neither done nor failed. */
export const DETACHED = 130;

export interface FollowOptions {
  readonly instance: string;
  /** The id of the data migration whose own run it is. */
  readonly data?: string;
  readonly json: boolean;
  /** Aborted by Ctrl-C: stop watching, the run goes on. */
  readonly signal: AbortSignal;
  /** Sees every status before it is shown; `note` prints a line that stays above the display. */
  readonly onStatus?: (status: StatusReport, note: (line: string) => void) => void;
  /** Nobody answers: for a caller that knows why, in place of the warning. */
  readonly onUnanswered?: (why: string, note: (line: string) => void) => void;
  /** Return 3 as soon as the run waits for a person; by default only where the display cannot stay. */
  readonly leaveWhenParked?: boolean;
  /** Return 3 without a word: the caller itself is who the run waits for. */
  readonly leaveAt?: (status: StatusReport) => boolean;
  readonly pollMs?: number;
}

/** Shows a run until it ends. @returns the exit code. @throws what `Runs.result` throws. */
export async function followRun(runs: Runs, terminal: Terminal, options: FollowOptions): Promise<number> {
  const view = options.json ? silentView() : terminal.interactive ? liveView(terminal) : plainView(terminal);
  let ended: { report: UnwindReport } | { error: unknown } | null = null;
  const watching = new AbortController();
  const end = runs.result(options.instance, watching.signal).then(
    (report) => void (ended = { report }),
    (error: unknown) => void (ended = { error }),
  );
  const detached = new Promise<void>((resolve) =>
    options.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  const figured = createFigures(runs, options.instance);
  const silence = silenceWatch(runs, terminal, options);
  const leaveWhenParked = options.leaveWhenParked ?? !terminal.interactive;

  try {
    while (ended === null && !options.signal.aborted) {
      const answer = await Promise.race([runs.status(options.instance, watching.signal), end, detached]);
      if (answer && answer.kind === 'answered') {
        silence.broken();
        options.onStatus?.(answer.status, view.note);
        const shown = options.json ? null : await Promise.race([figured(answer.status, watching.signal), detached]);
        if (shown) view.show(shown);
        if (options.leaveAt?.(answer.status) === true) return ExitCode.needsOperator;
        if (waitsForPerson(answer.status) && leaveWhenParked) return parked(answer.status, terminal, options.json);
      } else if (answer) {
        silence.lasts(answer.why, answer.todo, view.note);
      }
      await Promise.race([sleep(options.pollMs ?? POLL_MS), end, detached]);
    }
    if (ended !== null) await showLast(runs, options.instance, view);
  } finally {
    view.done();
    watching.abort();
  }

  if (ended === null) {
    terminal.err(leftText(options.instance, options.data));
    return DETACHED;
  }
  return finish(ended, terminal, options.json);
}

export function leftText(instance: string, data: string | undefined): string {
  const operands = commandOperands(instance, data);
  return `No longer watching; the run of ${instance} goes on. See "pg-unwind status ${operands}", stop it with "pg-unwind abort ${operands}".`;
}

/** The display must not stop at 98 %; where no worker answers any more, the closing line says it all. */
async function showLast(runs: Runs, instance: string, view: View): Promise<void> {
  const answer = await runs.status(instance).catch(() => null);
  if (answer?.kind === 'answered') view.show(answer.status);
}

function finish(ended: { report: UnwindReport } | { error: unknown }, terminal: Terminal, json: boolean): number {
  if ('error' in ended) throw ended.error;
  printReport(ended.report, terminal, json);
  return exitCodeOfReport(ended.report);
}

export function exitCodeOfReport(report: UnwindReport): number {
  return report.outcome === 'aborted' ? ExitCode.aborted : ExitCode.done;
}

export function printReport(report: UnwindReport, terminal: Terminal, json: boolean): void {
  if (json) return printJson(terminal, report);
  for (const note of reportNotes(report)) terminal.out(note);
  terminal.out(closingLine(report));
}

function parked(status: StatusReport, terminal: Terminal, json: boolean): number {
  if (json) printJson(terminal, status);
  else terminal.out(waitingLines(status, terminal.colors).join('\n').trimStart());
  return ExitCode.needsOperator;
}

interface View {
  show(status: ShownStatus): void;
  note(line: string): void;
  done(): void;
}

function silentView(): View {
  return { show: () => undefined, note: () => undefined, done: () => undefined };
}

function liveView(terminal: Terminal): View {
  const update = createLogUpdate(process.stdout);
  const began = Date.now();
  return {
    show: (status) => update(progressBlock(status, terminal, Date.now() - began)),
    note: (line) => update.persist(line),
    done: () => update.done(),
  };
}

/**
 * A line at each change of state or leg and when other data begins to move; in between every two seconds while steps are being
 * done, every ten while data moves, and after ten where something new holds a step up.
 */
export function plainView(terminal: Terminal, now: () => number = Date.now): View {
  let before: ShownStatus | null = null;
  let printedAt = 0;
  let heldSaid = '';
  let heldAt = -Infinity;
  return {
    show(status) {
      const silentFor = now() - printedAt;
      const moving = dataMoving(status);
      const turned = before === null || before.state !== status.state || before.leg !== status.leg;
      const begun = moving !== '' && before !== null && moving !== dataMoving(before);
      const stepped = before !== null && before.stepsDone !== status.stepsDone && silentFor >= LINE_EVERY_MS;
      const held = silentFor < DATA_LINE_EVERY_MS ? '' : heldText(status);
      const heldAnew = held !== '' && held !== heldSaid && now() - heldAt >= HELD_LINE_EVERY_MS;
      if (!turned && !begun && !stepped && !heldAnew && (moving === '' || silentFor < DATA_LINE_EVERY_MS)) return;
      terminal.out(heldAnew ? `${progressLine(status)} · ${held}` : progressLine(status));
      if (heldAnew) {
        heldSaid = held;
        heldAt = now();
      } else if (stepped) heldAt = -Infinity; // the next one is another step's
      before = status;
      printedAt = now();
    },
    note: terminal.out,
    done: () => undefined,
  };
}

/** Says once per silence that nobody answers, instead of hanging without a word. */
function silenceWatch(runs: Runs, terminal: Terminal, options: FollowOptions) {
  let since: number | null = null;
  let said = false;
  return {
    broken() {
      since = null;
      said = false;
    },
    lasts(why: string, todo: string | undefined, note: (line: string) => void) {
      since ??= Date.now();
      options.onUnanswered?.(why, note);
      if (said || options.onUnanswered !== undefined || Date.now() - since < SILENCE_MS) return;
      said = true;
      terminal.err(
        todo === undefined
          ? `${options.instance}: ${why} (task queue "${runs.taskQueue}"). The run is safe and waits. Start a worker with "pg-unwind worker".`
          : `${options.instance}: ${why}. The run is safe and waits. ${todo}`,
      );
    },
  };
}
