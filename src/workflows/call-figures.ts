import type { DataBeat, DataPlace } from '../contract/data-activities.js';

/** Rates are those of the last calls, not of the whole way. */
const MARKS = 10;

/** What is told of a data migration between its calls. Workflow time, which replays. */
export function createCallFigures(begun: DataPlace, target: 0 | 1, batchRows: number) {
  const marks: { readonly at: number; readonly rows: number; readonly progress: number | null }[] = [];
  return function figures({ batches, rows }: DataPlace, progress: number | null, doing: string): DataBeat {
    if (marks.length === 0) marks.push({ at: Date.now(), rows: begun.rows, progress });
    else marks.push({ at: Date.now(), rows, progress });
    if (marks.length > MARKS) marks.shift();
    const [first, last] = [marks[0], marks.at(-1)];
    const seconds = first && last ? (last.at - first.at) / 1_000 : 0;
    const moved = Math.abs((last?.progress ?? 0) - (first?.progress ?? 0));
    return {
      doing,
      batches,
      rows,
      batchRows,
      rowsPerSecond: seconds > 0 ? Math.round((rows - (first?.rows ?? rows)) / seconds) : null,
      progress,
      secondsLeft:
        seconds > 0 && moved > 0 && progress !== null && first?.progress !== null
          ? Math.round((Math.abs(target - progress) / moved) * seconds) || null
          : null,
    };
  };
}
