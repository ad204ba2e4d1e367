import type { Terminal } from '../terminal.js';

export type Paint = 'bold' | 'dim' | 'green' | 'yellow' | 'red';

export interface Piece {
  readonly text: string;
  readonly paint?: Paint;
}

/** One row of the screen, not cut yet. */
export type Line = readonly Piece[];

export function line(text: string, paint?: Paint): Line {
  return [paint === undefined ? { text } : { text, paint }];
}

/** Cut to the width and painted: names of the product's may be of any length, of wide letters, or hold control characters. */
export function fitted(pieces: Line, columns: number, colors: Terminal['colors']): string {
  let room = columns;
  const texts = pieces.map(({ text }) => clean(text));
  const whole = texts.reduce((sum, text) => sum + widthOf(text), 0) <= columns;
  const shown: string[] = [];
  for (const [at, { paint }] of pieces.entries()) {
    const text = texts[at] ?? '';
    const part = whole || widthOf(text) < room ? text : cutTo(text, room);
    room -= widthOf(part);
    if (part !== '') shown.push(paint === undefined ? part : colors[paint](part));
    if (part !== text) break;
  }
  return shown.join('');
}

/** Broken between words, or within one that is longer than a row; rows behind the first stand two further in. */
export function wrapped(text: string, columns: number): string[] {
  const indent = /^ */.exec(text)?.[0] ?? '';
  const rows: string[] = [];
  let row = '';
  for (const word of clean(text).trim().split(/ +/)) {
    for (let rest = word; rest !== '';) {
      const begin = row === '' ? indent + (rows.length === 0 ? '' : '  ') : `${row} `;
      const room = columns - widthOf(begin);
      if (widthOf(rest) <= room) {
        row = begin + rest;
        break;
      }
      if (row !== '') {
        rows.push(row);
        row = '';
      } else {
        const part = beginning(rest, Math.max(2, room));
        rows.push(begin + part);
        rest = rest.slice(part.length);
      }
    }
  }
  return row === '' && rows.length > 0 ? rows : [...rows, row];
}

function clean(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

// East Asian wide letters and emoji take two columns, combining marks none.
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u;

function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  return Array.from(text).reduce((sum, letter) => sum + (NONE.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1), 0);
}

function cutTo(text: string, width: number): string {
  if (width <= 0) return '';
  return `${beginning(text, width - 1)}…`;
}

/** The longest beginning that fits. */
function beginning(text: string, width: number): string {
  let kept = '';
  let room = width;
  for (const letter of text) {
    room -= widthOf(letter);
    if (room < 0) break;
    kept += letter;
  }
  return kept;
}
