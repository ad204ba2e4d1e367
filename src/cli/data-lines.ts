import { bar, cut, durationText, percent } from './bars.js';
import { ABOUT_TO_BEGIN, MOVING, type ShownData, type ShownStatus } from './data-figures.js';
import type { Terminal } from './terminal.js';

const LEFT_AS: Readonly<Record<ShownData['act'], string>> = {
  forward: 'done',
  reverse: 'done',
  leave: 'left as it is',
  lose: 'cannot be reversed, left as it is',
};

/** The data migrations of the current leg, one line each: what is done, what moves, what waits. */
export function dataLines(
  { data, parked }: ShownStatus,
  { colors, columns }: Pick<Terminal, 'colors' | 'columns'>,
): string[] {
  const names = data.map((each) => nameOf(each));
  const width = Math.max(0, ...names.map((name) => name.length));
  return data.map((each, at) => {
    const isParked = parked.some(({ database, migration }) => database === each.database && migration === each.id);
    const share = each.done ? 1 : (shareDone(each) ?? 0);
    const painted = each.done ? colors.green(bar(1, 1)) : bar(share, 1);
    const head = `  ${(names[at] ?? '').padEnd(width)} ${painted} ${percentOf(each).padStart(4)}`;
    const room = columns - (2 + width + 1 + bar(0, 1).length + 1 + 4) - 3;
    const tail = cut(isParked ? 'parked' : tailOf(each), room);
    return tail === '' || room < 10 ? head : `${head}  ${each.running ? tail : colors.dim(tail)}`;
  });
}

/** `orders data migration 7 reverse 47%, 1,234,000 rows, 52,000 rows/s, 3 min 5 s left`, for each that runs. */
export function dataText({ data }: ShownStatus): string[] {
  return data
    .filter(({ running }) => running)
    .map((each) => {
      if (each.figures === undefined) return `${nameOf(each)} under way`;
      const share = percentOf(each);
      const figures = share === '' ? [tailOf(each)] : [share, ...factsOf(each)];
      return `${nameOf(each)} ${figures.join(', ')}`;
    });
}

/** Which of them move: a change of it is worth a line. */
export function dataMoving({ data }: Pick<ShownStatus, 'data'>): string {
  return data
    .filter(({ running }) => running)
    .map(({ activityId }) => activityId)
    .join(' ');
}

function nameOf({ database, id, act }: ShownData): string {
  return `${database} data migration ${id}${act === 'forward' || act === 'reverse' ? ` ${act}` : ''}`;
}

/** Progress is the data's form, 0 the older and 1 the newer one; on the way back the rest is what is done. Null: unknown. */
function shareDone({ act, figures }: ShownData): number | null {
  const progress = figures?.progress ?? null;
  return progress === null ? null : act === 'reverse' ? 1 - progress : progress;
}

function percentOf(each: ShownData): string {
  if (each.done) return '100%';
  const share = each.running ? shareDone(each) : null;
  return share === null ? '' : percent(share, 1);
}

function tailOf(each: ShownData): string {
  if (each.done) return LEFT_AS[each.act];
  if (!each.running) return `waits · ${each.description}`;
  const facts = factsOf(each);
  const doing = each.figures?.doing ?? ABOUT_TO_BEGIN;
  return [...facts, ...(facts.length > 0 && doing === MOVING ? [] : [doing])].join(' · ');
}

function factsOf({ figures }: ShownData): string[] {
  if (figures?.rows === undefined) return [];
  const { rows, rowsPerSecond = null, secondsLeft = null } = figures;
  return [
    `${rows.toLocaleString('en')} rows`,
    ...(rowsPerSecond === null ? [] : [`${rowsPerSecond.toLocaleString('en')} rows/s`]),
    ...(secondsLeft === null ? [] : [`${durationText(secondsLeft * 1_000)} left`]),
  ];
}
