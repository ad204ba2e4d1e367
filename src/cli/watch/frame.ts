import { stepActivityId } from '../../contract/ids.js';
import type { DatabaseProgress } from '../../contract/messages.js';
import pc from 'picocolors';
import { durationText, percent } from '../bars.js';
import { reasonOf, type FiguresByActivity, type ShownStatus } from '../data-figures.js';
import { dataLines } from '../data-lines.js';
import { legText, stateText, stepsText, waitingLines, waitsForPerson, wayText } from '../progress.js';
import type { Terminal } from '../terminal.js';
import type { Happening } from './happened.js';
import type { KeyAction } from './keys.js';
import { laidOut, type Section } from './layout.js';
import { line, wrapped, type Line } from './line.js';
import { timeLeftText } from '../time-left.js';
import { tickedBar } from './ticks.js';

/** All that is on the screen. */
export interface Shown {
  readonly instance: string;
  /** Null: the run has not answered yet. */
  readonly status: ShownStatus | null;
  /** What the activities under way tell of themselves. */
  readonly figures: FiguresByActivity;
  readonly elapsedMs: number;
  /** This side's clock, in milliseconds. */
  readonly now: number;
  /** Nobody answers: why, and for how long. */
  readonly silence: { readonly why: string; readonly todo?: string | undefined; readonly ms: number } | null;
  readonly happened: readonly Happening[];
  readonly keys: readonly KeyAction[];
  /** What became of a key. */
  readonly message: string | null;
  /** A question in place of the hints. */
  readonly question: string | null;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const PLAIN = pc.createColors(false);

/** At most `rows` lines of at most `columns`: cut, never wrapped by the terminal. */
export function frame(shown: Shown, size: Size, colors: Terminal['colors']): string[] {
  const { status, keys, question } = shown;
  const footer = question === null ? hints(keys) : line(question, 'yellow');
  const sections: Section[] =
    status === null
      ? [{ lines: [line(shown.instance, 'bold'), line('waits for the first answer of the run')], rank: 0 }]
      : sectionsOf(shown, status, size);
  return laidOut([...sections, ...said(shown, size)], footer, size, colors);
}

function hints(keys: readonly KeyAction[]): Line {
  return keys.flatMap(({ key, label }, at) => [
    ...(at === 0 ? [] : [{ text: '   ' }]),
    { text: key, paint: 'bold' as const },
    { text: ` ${label}`, paint: 'dim' as const },
  ]);
}

function sectionsOf(shown: Shown, status: ShownStatus, size: Size): Section[] {
  const plain = { columns: size.columns, colors: PLAIN };
  return [
    { lines: titleLines(status, shown), rank: 0 },
    { lines: databaseLines(status, shown.figures, size), rank: 1 },
    { lines: dataLines(status, plain).map((text) => line(text)), rank: 3 },
    { ...waitLines(status, size), rank: 2, rest: `pg-unwind status ${status.instance}` },
    { lines: checkLines(status), rank: 4 },
    { lines: tailLines(shown.happened), rank: 5, newest: true },
  ];
}

function said({ message, silence }: Shown, { columns }: Size): Section[] {
  const texts = [
    ...(silence === null
      ? []
      : [
          `No answer for ${calmText(silence.ms)}: ${silence.why}. The run is safe and waits. ` +
            (silence.todo ?? 'Start a worker with "pg-unwind worker".'),
        ]),
    ...(message === null ? [] : [message]),
  ];
  if (texts.length === 0) return [];
  return [{ lines: texts.flatMap((text) => wrapped(text, columns)).map((text) => line(text, 'yellow')), rank: 0 }];
}

function titleLines(status: ShownStatus, { elapsedMs, now }: Shown): Line[] {
  const state = stateText(status);
  const paint = status.state === 'completed' ? 'green' : waitsForPerson(status) ? 'yellow' : undefined;
  const left = timeLeftText(status, now);
  const second = [calmText(elapsedMs), legText(status), stepsText(status)].filter((part) => part !== '');
  return [
    [
      { text: status.instance, paint: 'bold' },
      { text: '  ' },
      { text: state, ...(paint === undefined ? {} : { paint }) },
      { text: `  ${wayText(status)}` },
    ],
    line(second.join(' · '), 'dim'),
    ...(left === '' ? [] : [line(left, 'dim')]),
  ];
}

/** A holder's name, address and age stand at the end of a long sentence. */
const MOST_REASON_LINES = 6;

function databaseLines(status: ShownStatus, figures: FiguresByActivity, { columns }: Size): Line[] {
  const all = Object.entries(status.databases);
  const nameWidth = Math.max(0, ...all.map(([name]) => name.length));
  const numberWidth = Math.max(0, ...all.map(([, { total }]) => String(total).length)) * 2 + 1;
  const barWidth = columns >= 110 ? 40 : columns >= 70 ? 24 : 10;
  return all.flatMap(([name, progress]) => {
    const { done, total, boundaries = [], current } = progress;
    const isFull = total > 0 && done >= total;
    const told = current === null ? undefined : figures.get(stepActivityId(name, current.seq, status.direction));
    const parked = status.parked.some(({ database }) => database === name);
    const head: Line = [
      { text: `${name.padEnd(nameWidth)} ` },
      { text: tickedBar(done, total, boundaries, barWidth), ...(isFull ? { paint: 'green' as const } : {}) },
      { text: ` ${`${done}/${total}`.padStart(numberWidth)} ${percent(done, total).padStart(4)}  ` },
      parked
        ? { text: 'parked', paint: 'yellow' }
        : { text: currentText(progress, told?.failed === undefined ? told?.seconds : undefined), paint: 'dim' },
    ];
    const why = parked ? '' : reasonOf(told);
    return why === ''
      ? [head]
      : [
          head,
          ...wrapped(`  ↳ ${why}`, columns)
            .slice(0, MOST_REASON_LINES)
            .map((text) => line(text, 'yellow')),
        ];
  });
}

function currentText({ current, done, total }: DatabaseProgress, seconds: number | undefined): string {
  if (total === 0) return 'nothing to do';
  if (current === null || done >= total) return '';
  const since = seconds === undefined || seconds < 1 ? '' : `${calmText(seconds * 1_000)} · `;
  return `${since}${current.migration} ${current.name}`;
}

/** The last two of them are the commands that come first. */
function waitLines(status: ShownStatus, { columns }: Size): Pick<Section, 'lines' | 'last'> {
  const said = waitingLines(status, PLAIN).filter((text) => text !== '');
  const texts = said.length > 0 || status.waitingFor === null ? said : [`It waits for ${status.waitingFor}.`];
  const rows = texts.map((text, at) =>
    wrapped(text, columns).map((row) =>
      line(row, at === 0 ? 'yellow' : text.startsWith('  pg-unwind ') ? 'bold' : undefined),
    ),
  );
  return { lines: rows.flat(), last: rows.slice(-2).flat().length };
}

function checkLines({ databases }: ShownStatus): Line[] {
  const checks = Object.entries(databases).flatMap(([name, { lastCheck }]) =>
    lastCheck === null
      ? []
      : [`${name} ${lastCheck.clean ? 'clean' : 'dirty'} (${lastCheck.how}) ${clock(lastCheck.at)}`],
  );
  return checks.length === 0 ? [] : [line(`last checks: ${checks.join(' · ')}`, 'dim')];
}

function tailLines(happenings: readonly Happening[]): Line[] {
  return happenings.map(({ at, text }) => [{ text: `${clock(at)} UTC  `, paint: 'dim' }, { text }]);
}

function clock(iso: string): string {
  return iso.slice(11, 19);
}

/** Whole seconds: tenths would redraw a row at each look. */
function calmText(ms: number): string {
  return ms < 60_000 ? `${Math.floor(ms / 1_000)} s` : durationText(ms);
}
