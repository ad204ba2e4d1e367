import type { Count, Loss, LossReport } from '../contract/losses.js';

/** `12,345`, `~12,345` where it is an estimate; '' where nobody knows. */
export function countText(count: Count | null): string {
  if (count === null) return '';
  return `${count.exact ? '' : '~'}${count.value.toLocaleString('en-US')}`;
}

/** `1 row`, `~12,345 rows` */
export function countedText(text: string, one: string): string {
  return `${text} ${text === '1' || text === '≤ 1' ? one : `${one}s`}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `1.2 MB`, in thousands of 1,024 as Postgres has them. */
export function bytesText(count: Count | null): string {
  if (count === null) return '';
  let { value } = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${count.exact ? '' : '~'}${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Nothing is in it: what goes with it is its definition, and that comes back. */
export function holdsNothing({ found, rows, values, kind }: Loss): boolean {
  if (found !== 'there') return false;
  const count = kind === 'column' ? values : rows;
  return count?.exact === true && count.value === 0;
}

/** A loss, and how many other steps take of the same object. */
export interface ObjectLoss extends Loss {
  readonly moreSteps: number;
}

/**
 * Each object once, for its content can be lost only once: with the step that drops it, else the first that takes of it. In the order in
 * which people read: what is gone for good before what is rewritten, the larger before the smaller.
 */
export function byWeight(losses: readonly Loss[]): ObjectLoss[] {
  const objects = new Map<string, Loss[]>();
  for (const loss of losses) {
    const key = `${loss.database} ${loss.object}`;
    objects.set(key, [...(objects.get(key) ?? []), loss]);
  }
  const once = [...objects.values()].map((all): ObjectLoss => {
    const worst =
      all.find(({ kind }) => kind === 'table' || kind === 'column') ??
      all.find(({ fate }) => fate === 'goes') ??
      all[0];
    return { ...(worst as Loss), moreSteps: new Set(all.map(({ migration }) => migration)).size - 1 };
  });
  const weight = ({ bytes, values, rows }: Loss) => bytes?.value ?? values?.value ?? rows?.value ?? -1;
  return once.toSorted((a, b) => Number(a.fate === 'changes') - Number(b.fate === 'changes') || weight(b) - weight(a));
}

/** `1707820055 audit log`, `… and 2 more steps` */
export function stepText({ migration, name, moreSteps }: ObjectLoss): string {
  const more = moreSteps === 0 ? '' : ` and ${moreSteps} more ${moreSteps === 1 ? 'step' : 'steps'}`;
  return `${migration} ${name}${more}`;
}

/** `table public.jobs`, `rows of public.jobs`, `rewrites public.jobs` */
export function lossWhat({ kind, object, through, certainty }: Loss): string {
  const words: Partial<Record<Loss['kind'], string>> = { rows: 'rows of', rewrite: 'rewrites' };
  const by = through === null ? '' : `, with ${through}`;
  return `${words[kind] ?? kind} ${object}${by}${certainty === 'certain' ? '' : ' (possibly)'}`;
}

/** `rows at most` for what may touch only a part of them. */
export function rowsText({ kind, rows }: Loss): string {
  const text = countText(rows);
  return text !== '' && (kind === 'rows' || kind === 'rewrite') ? `≤ ${text}` : text;
}

/** `In all 3 tables with 12,000 rows and 2 columns: 3.4 MB.` */
export function totalsText({ totals: { tables, columns, rows, bytes } }: Pick<LossReport, 'totals'>): string {
  if (tables === 0 && columns === 0) return 'In all: no table and no column that is there now.';
  const parts = [
    ...(tables === 0 ? [] : [`${countedText(String(tables), 'table')} with ${countedText(countText(rows), 'row')}`]),
    ...(columns === 0 ? [] : [countedText(String(columns), 'column')]),
  ];
  return `In all ${parts.join(' and ')}: ${bytesText(bytes)}.`;
}
