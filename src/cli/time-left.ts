import { aboutText, untilText } from '../plan/time-text.js';
import type { ShownData, ShownStatus } from './data-figures.js';

/**
 * `about 3 min left, until 14:05 UTC`; '' where nothing can be told. The run says what was left when it last heard of anything, and this
 * side's clock says how long ago that was; data that moves tells for itself.
 */
export function timeLeftText(status: ShownStatus, now: number): string {
  const { estimate, state } = status;
  if (estimate === undefined) return '';
  const { seconds, unknown, isLate } = leftNow(status, now);
  const without = unknown.length === 0 ? '' : `, not counting ${listed(unknown)}`;
  const basis = estimate.basis === 'guess' ? ' (a guess)' : '';
  if (isLate) {
    return `the step under way takes longer than expected, ${aboutText(seconds)} behind it${without}${basis}`;
  }
  if (state !== 'running' && state !== 'verifying') {
    return `${aboutText(seconds)} of work left${without}${basis}`;
  }
  const until = unknown.length === 0 ? untilText(now, seconds) : '';
  return `${aboutText(seconds)} left${until === '' ? '' : `, ${until}`}${without}${basis}`;
}

/** No sooner: a step may well take twice what it took before. */
const LATE = { factor: 3, seconds: 30 };

function leftNow(
  status: ShownStatus,
  now: number,
): { readonly seconds: number; readonly unknown: readonly string[]; readonly isLate: boolean } {
  const { estimate, data, state } = status;
  const { seconds = 0, secondsAfterCurrent = 0, asOf = '', unknown = [] } = estimate ?? {};
  const told = data.filter(({ running, figures }) => running && typeof figures?.secondsLeft === 'number');
  if (told.length > 0) {
    const moved = slowest(data, (each) => each.figures?.secondsLeft ?? each.secondsLeft ?? 0);
    const names = new Set(told.map(({ database, id }) => `${database} data migration ${id}`));
    return {
      seconds: Math.max(0, seconds - slowest(data, (each) => each.secondsLeft ?? 0) + moved),
      unknown: unknown.filter((name) => !names.has(name)),
      isLate: false,
    };
  }
  const elapsed = state === 'running' || state === 'verifying' ? Math.max(0, (now - Date.parse(asOf)) / 1_000) : 0;
  const current = seconds - secondsAfterCurrent;
  const isUnknown = data.some(({ running, secondsLeft }) => running && secondsLeft === null);
  return {
    seconds: Math.max(secondsAfterCurrent, seconds - elapsed),
    unknown,
    isLate: state === 'running' && !isUnknown && elapsed > LATE.factor * current + LATE.seconds,
  };
}

/** Databases move their data side by side. */
function slowest(data: readonly ShownData[], secondsOf: (each: ShownData) => number): number {
  const databases = new Map<string, number>();
  for (const each of data) databases.set(each.database, (databases.get(each.database) ?? 0) + secondsOf(each));
  return Math.max(0, ...databases.values());
}

/** The document has them all. */
function listed([first = '', ...more]: readonly string[]): string {
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}
