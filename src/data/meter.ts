import type { DataBeat } from '../contract/data-activities.js';

/** Rates are those of the last while, not of the whole way: a table's beginning may be sparse. */
const WINDOW_MS = 30_000;

export interface Meter {
  batch(rows: number): void;
  measured(progress: number): void;
  beat(doing: string, batchRows: number): DataBeat;
}

/** What is told of a data migration on its way: counts, rate, and how long it will take at that rate. */
export function createMeter(
  begun: { readonly batches: number; readonly rows: number },
  target: 0 | 1,
  now: () => number = () => performance.now(),
): Meter {
  let { batches, rows } = begun;
  const marks: { at: number; rows: number }[] = [{ at: now(), rows }];
  const progress: { at: number; value: number }[] = [];
  const forget = <T extends { at: number }>(list: T[], at: number) => {
    while (list.length > 2 && at - (list[1] as T).at > WINDOW_MS) list.shift();
  };

  function secondsLeft(): number | null {
    const [first, last] = [progress[0], progress.at(-1)];
    if (first === undefined || last === undefined || last.at <= first.at) return null;
    const perMs = Math.abs(last.value - first.value) / (last.at - first.at);
    if (perMs === 0) return null;
    const left = Math.abs(target - last.value) / perMs - (now() - last.at); // the data may have been asked a while ago
    const seconds = Math.round(left / 1_000);
    return seconds > 0 ? seconds : null; // later than it should have been: nobody knows
  }

  return {
    batch(count) {
      batches += 1;
      rows += count;
      const at = now();
      marks.push({ at, rows });
      forget(marks, at);
    },
    measured(value) {
      const at = now();
      progress.push({ at, value });
      forget(progress, at);
    },
    beat(doing, batchRows) {
      const [first, last] = [marks[0] as { at: number; rows: number }, marks.at(-1) as { at: number; rows: number }];
      const elapsed = last.at - first.at;
      return {
        doing,
        batches,
        rows,
        batchRows,
        rowsPerSecond: elapsed <= 0 ? null : Math.round(((last.rows - first.rows) / elapsed) * 1_000),
        progress: progress.at(-1)?.value ?? null,
        secondsLeft: secondsLeft(),
      };
    },
  };
}

/** The next batch's size: towards the target time, at most doubled or halved. */
export function nextSize(size: number, tookMs: number, limits: { targetMs: number; mostRows: number }): number {
  const factor = Math.min(2, Math.max(0.5, limits.targetMs / Math.max(1, tookMs)));
  return Math.max(1, Math.min(limits.mostRows, Math.round(size * factor)));
}
