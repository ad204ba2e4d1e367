import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusReport, UnwindReport } from '../../contract/messages.js';
import { withFigures, type FiguresByActivity, type ShownStatus } from '../data-figures.js';
import type { Runs } from '../runs.js';
import type { Terminal } from '../terminal.js';
import { frame } from './frame.js';
import { happened, type Happening } from './happened.js';
import { keyIn, keysFor, LEAVE, type KeyAction } from './keys.js';
import type { Screen, ScreenEvents } from './screen.js';

const POLL_MS = 400;
const FIGURES_EVERY_MS = 1_000;
/** Elapsed times go on between two answers of a run that is not answered for. */
const REDRAW_MS = 1_000;
/** A worker that starts takes a second or two; only a longer silence is worth a word. */
const SILENCE_MS = 5_000;
const MOST_HAPPENED = 200;

export interface WatchOptions {
  readonly instance: string;
  /** Who presses the keys. */
  readonly by: string;
  readonly startedAt: number;
  /** A polite end from outside: like the key q. */
  readonly signal: AbortSignal;
  readonly pollMs?: number;
}

export type Watched =
  | { readonly kind: 'left'; readonly status: ShownStatus | null }
  | { readonly kind: 'ended'; readonly status: ShownStatus | null; readonly report: UnwindReport };

/** Shows a run on the whole screen until it ends or the keyboard leaves it. @throws what `Runs.result` throws. */
export async function watchRun(
  runs: Runs,
  open: (events: ScreenEvents) => Screen,
  colors: Terminal['colors'],
  options: WatchOptions,
): Promise<Watched> {
  const { instance, startedAt } = options;
  let status: ShownStatus | null = null;
  let figures: FiguresByActivity = new Map();
  let tail: readonly Happening[] = [];
  let silentSince: number | null = null;
  let silence: { readonly why: string; readonly todo?: string } = { why: '' };
  let message: string | null = null;
  let asked: KeyAction | null = null;
  let ended: { readonly report: UnwindReport } | { readonly error: unknown } | null = null;

  const leaving = new AbortController();
  if (options.signal.aborted) leaving.abort();
  options.signal.addEventListener('abort', () => leaving.abort(), { once: true });
  const left = new Promise<void>((resolve) =>
    leaving.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  const end = runs.result(instance, leaving.signal).then(
    (report) => void (ended = { report }),
    (error: unknown) => void (ended = { error }),
  );

  const draw = () => {
    const silentMs = silentSince === null ? 0 : Date.now() - silentSince;
    const shown = {
      instance,
      status,
      figures,
      elapsedMs: Date.now() - startedAt,
      now: Date.now(),
      silence: silentMs < SILENCE_MS ? null : { why: silence.why, todo: silence.todo, ms: silentMs },
      happened: tail,
      keys: keysFor(status),
      message,
      question: asked?.confirm ?? null,
    };
    screen.draw(frame(shown, screen, colors));
  };

  const take = (answer: StatusReport) => {
    const after = withFigures(answer, figures);
    tail = [...tail, ...happened(status, after, new Date().toISOString())].slice(-MOST_HAPPENED);
    status = after;
  };

  const carryOut = async ({ label, update, inputs }: KeyAction) => {
    if (update === null) return leaving.abort();
    message = `${label} …`;
    draw();
    try {
      for (const input of inputs) take(await runs.update(instance, update, { ...input, by: options.by }));
      message = null;
    } catch (error) {
      message = error instanceof Error ? error.message : String(error);
    }
    draw();
  };

  const onKey = (chunk: string) => {
    const key = keyIn(chunk);
    const question = asked;
    asked = null;
    message = null;
    const action = question === null ? keysFor(status).find((each) => each.key === key) : key === 'y' ? question : null;
    if (question !== null && key === LEAVE.key) leaving.abort();
    else if (action && action.confirm !== null && question === null) asked = action;
    else if (action) void carryOut(action);
    draw();
  };

  const screen = open({ onKey, onResize: () => draw() });
  const ticker = setInterval(draw, REDRAW_MS);
  try {
    draw();
    for (let askedFigures = 0; ended === null && !leaving.signal.aborted;) {
      const answer = await Promise.race([runs.status(instance, leaving.signal), end, left]);
      if (answer?.kind === 'answered') {
        silentSince = null;
        take(answer.status);
        if (Date.now() - askedFigures >= FIGURES_EVERY_MS) {
          askedFigures = Date.now();
          figures = (await Promise.race([runs.figures(instance, leaving.signal), left])) ?? figures;
        }
        draw();
      } else if (answer) {
        silentSince ??= Date.now();
        silence = answer;
      }
      await Promise.race([sleep(options.pollMs ?? POLL_MS), end, left]);
    }
    const last = ended === null ? null : await runs.status(instance).catch(() => null);
    if (last?.kind === 'answered') take(last.status);
  } finally {
    clearInterval(ticker);
    screen.close();
    leaving.abort();
  }
  return outcome(ended, status);
}

function outcome(
  ended: { readonly report: UnwindReport } | { readonly error: unknown } | null,
  status: ShownStatus | null,
): Watched {
  if (ended === null) return { kind: 'left', status };
  if ('error' in ended) throw ended.error;
  return { kind: 'ended', status, report: ended.report };
}
