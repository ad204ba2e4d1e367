import type { LossPlace, LossReport } from '../contract/losses.js';
import {
  bytesText,
  byWeight,
  countText,
  holdsNothing,
  lossWhat,
  rowsText,
  stepText,
  totalsText,
  type ObjectLoss,
} from '../plan/loss-figures.js';
import { borderless } from './table.js';
import type { Terminal } from './terminal.js';

const SHOWN = 25;
const LINES = 8;

/** What a plan loses, for a terminal: the largest first; `--json` and `--html` have all of it. */
export function lossLines(report: LossReport, colors: Terminal['colors']): string[] {
  const { losses, returnsEmpty, unknown, remarks } = report;
  if (losses.length === 0 && returnsEmpty.length === 0 && unknown.length === 0) return [];
  const full = byWeight(losses.filter((loss) => loss.found === 'there' && !holdsNothing(loss)));
  const empty = byWeight(losses.filter(holdsNothing));
  const later = byWeight(losses.filter(({ found }) => found === 'notThere'));
  return [
    `${colors.bold('What is lost')}  read from the databases at ${report.takenAt}${full.length > 0 ? '; ~ is an estimate, ≤ at most' : ''}`,
    ...(full.length === 0
      ? [' nothing: no doomed object holds any content now']
      : [table(full.slice(0, SHOWN), colors)]),
    ...rest(full.length - SHOWN, (n) => ` … and ${n} more (--json or --html <file> has all)`),
    ...rest(empty.length, (n) => ` ${n} more ${n === 1 ? 'object holds' : 'objects hold'} nothing now`),
    ...rest(
      later.length,
      (n) => ` ${n} ${n === 1 ? 'is' : 'are'} not there now: an earlier step may make ${n === 1 ? 'it' : 'them'}`,
    ),
    ...placed(returnsEmpty, ({ kind, object }) => ` returns without its content: ${kind} ${object}`),
    ...placed(unknown, ({ why }) => ` ${colors.yellow('cannot be known:')} ${why}`),
    ...remarks.map((remark) => ` ${colors.yellow('note:')} ${remark}`),
    ` ${totalsText(report)}`,
    '',
  ];
}

function table(losses: readonly ObjectLoss[], colors: Terminal['colors']): string {
  const rows = losses.map((loss) => [
    loss.database,
    stepText(loss),
    loss.fate === 'goes' ? colors.yellow(lossWhat(loss)) : lossWhat(loss),
    rowsText(loss),
    countText(loss.values),
    bytesText(loss.bytes),
  ]);
  return borderless(
    ['database', 'step', 'loses', 'rows', 'values', 'size'].map((title) => colors.dim(title)),
    rows,
  );
}

function rest(count: number, text: (count: number) => string): string[] {
  return count > 0 ? [text(count)] : [];
}

function placed<T extends LossPlace>(all: readonly T[], text: (one: T) => string): string[] {
  const lines = all.slice(0, LINES).map((one) => `${text(one)} (${one.database} ${one.migration} ${one.name})`);
  return [...lines, ...rest(all.length - LINES, (n) => ` … and ${n} more of these`)];
}
