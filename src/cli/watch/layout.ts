import type { Terminal } from '../terminal.js';
import { fitted, line, type Line } from './line.js';

export interface Section {
  readonly lines: readonly Line[];
  /** What is dropped last on a short terminal has the lowest. */
  readonly rank: number;
  /** Its end is what matters: the beginning is cut. */
  readonly newest?: boolean;
  /** What is cut out of its middle is to be read there. */
  readonly rest?: string;
  /** So many lines at its end, which are commands, stay. */
  readonly last?: number;
}

/**
 * Sections from above, the footer in the last row. Room is given by rank; then empty rows between sections; what is left goes to
 * sections of which the newest lines are shown.
 */
export function laidOut(
  sections: readonly Section[],
  footer: Line,
  { columns, rows }: { columns: number; rows: number },
  colors: Terminal['colors'],
): string[] {
  const shown = sections.filter(({ lines }) => lines.length > 0);
  let room = Math.max(0, rows - 1);
  const taken = new Map<Section, readonly Line[]>();
  const byRank = [...shown].sort((a, b) => a.rank - b.rank);
  for (const section of byRank.filter(({ newest }) => newest !== true)) {
    const part = beginning(section, room);
    taken.set(section, part);
    room -= part.length;
  }
  const standing = shown.filter((section) => section.newest === true || (taken.get(section)?.length ?? 0) > 0);
  const gaps = new Set<Section>();
  for (const section of standing.slice(1)) {
    if (room <= (section.newest === true ? 1 : 0)) break;
    gaps.add(section);
    room -= 1;
  }
  for (const section of byRank.filter(({ newest }) => newest === true)) {
    const part = room === 0 ? [] : section.lines.slice(-room);
    taken.set(section, part);
    room -= part.length;
  }
  const body = standing.flatMap((section) => [...(gaps.has(section) ? [line('')] : []), ...(taken.get(section) ?? [])]);
  const filler = Array.from({ length: Math.max(0, rows - 1 - body.length) }, () => line(''));
  return [...body, ...filler, footer].slice(-rows).map((each) => fitted(each, columns, colors));
}

function beginning({ lines, rest, last: kept = 0 }: Section, room: number): readonly Line[] {
  if (lines.length <= room) return lines;
  if (room === 0) return [];
  const last = room > kept ? kept : 0;
  const hidden = lines.length - room + 1;
  const where = rest === undefined ? '' : `: ${rest}`;
  return [
    ...lines.slice(0, room - 1 - last),
    line(`… ${hidden} more${where}`, 'dim'),
    ...lines.slice(lines.length - last),
  ];
}
