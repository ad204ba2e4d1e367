import type { Loss, LossReport, LossSummary } from '../contract/losses.js';
import {
  bytesText,
  byWeight,
  countedText,
  countText,
  holdsNothing,
  lossWhat,
  rowsText,
  stepText,
  type ObjectLoss,
} from './loss-figures.js';

const LARGEST = 10;
const LONGEST = 200;

/** `frontend table public.audit_log: 90,000 rows, 12.0 MB (1707820055 audit log)` */
export function lossText(loss: ObjectLoss): string {
  const rows = loss.kind === 'column' ? '' : rowsText(loss);
  const values = countText(loss.values);
  const figures = [
    ...(rows === '' ? [] : [countedText(rows, 'row')]),
    ...(values === '' ? [] : [countedText(values, 'value')]),
    ...(loss.bytes === null ? [] : [bytesText(loss.bytes)]),
  ];
  const known = figures.length === 0 ? '' : `: ${figures.join(', ')}`;
  return `${loss.database} ${lossWhat(loss)}${known} (${stepText(loss)})`.slice(0, LONGEST);
}

/** What a workflow can carry and a person can read before saying yes. */
export function summaryOf({ takenAt, totals, losses, returnsEmpty, unknown, remarks }: LossReport): LossSummary {
  const full = byWeight(losses.filter((loss) => !holdsNothing(loss)));
  return {
    takenAt,
    totals,
    losses: full.length,
    largest: full.slice(0, LARGEST).map(lossText),
    returnsEmpty: returnsEmpty.length,
    unknown: unknown.length,
    remarks: remarks.slice(0, LARGEST).map((remark) => remark.slice(0, LONGEST)),
  };
}

/** Fewer new rows than this change nobody's mind. */
const FEW = 100;
const SHARE = 0.1;

/**
 * What has grown since consent was asked for, beyond a tenth and a hundred rows: consent to what was shown is none to this.
 * Rows that are only rewritten do not count.
 */
export function grownSince(before: readonly Loss[], now: readonly Loss[]): string[] {
  const shown = largestOf(before);
  return [...largestOf(now)].flatMap(([key, { loss, value }]) => {
    const was = shown.get(key)?.value ?? 0;
    if (value <= was + Math.max(FEW, was * SHARE)) return [];
    const unit = loss.kind === 'column' ? 'value' : 'row';
    const what = `${loss.database} ${loss.object}`;
    const holds = value.toLocaleString('en-US');
    if (!shown.has(key) && before.some(({ database, object }) => `${database} ${object}` === key)) {
      return [`${what} could not be counted then, and holds ${countedText(holds, unit)} now`];
    }
    return [`${what} held ${countedText(was.toLocaleString('en-US'), unit)}, and holds ${holds} now`];
  });
}

function largestOf(losses: readonly Loss[]): Map<string, { loss: Loss; value: number }> {
  const all = new Map<string, { loss: Loss; value: number }>();
  for (const loss of losses) {
    const value = (loss.kind === 'column' ? loss.values : loss.rows)?.value;
    if (loss.fate !== 'goes' || value === undefined) continue;
    const key = `${loss.database} ${loss.object}`;
    if (value > (all.get(key)?.value ?? -1)) all.set(key, { loss, value });
  }
  return all;
}
