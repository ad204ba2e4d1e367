import { ExitCode } from '../../contract/errors.js';
import type { DataList, ListedData } from '../../instance/data-list.js';
import { progressText, windowText } from '../../plan/report.js';
import { argument, type CommandSpec } from '../command.js';
import { withEngine } from '../session.js';
import { borderless } from '../table.js';
import { printJson, type Terminal } from '../terminal.js';

export const dataListCommand: CommandSpec = {
  name: 'data list',
  args: '<instance>',
  summary:
    'List the data migrations of an instance: how far each is, and whether it can be run where the instance stands.',
  details:
    'Reads the ledgers and asks the progress queries, each for ten seconds at most; needs no Temporal. "runs here": the schema that ' +
    'stands lies in its window. "must be": where the release that stands can use its rows; empty: anywhere.',
  examples: ['data list shop-dev', 'data list shop-dev --json'],
  json: true,
  run: (invocation) =>
    withEngine(invocation, async (engine) => {
      const { terminal, json } = invocation;
      const instance = argument(invocation, 0);
      const list = await engine.data({ instance });
      if (json) printJson(terminal, { instance, ...list });
      else terminal.out(listText(instance, list, terminal.colors));
      return ExitCode.done;
    }),
};

export function listText(instance: string, { release, dataMigrations }: DataList, colors: Terminal['colors']): string {
  const stands = release === null ? 'stands between releases' : `stands at ${release}`;
  if (dataMigrations.length === 0) return `${instance} ${stands}; its product has no data migrations.`;
  const head = ['id', 'database', 'description', 'window', 'way back', 'runs here', 'progress', 'must be'];
  const rows = dataMigrations.map((each) => [
    each.id,
    each.database,
    each.description,
    windowText(each),
    BACK[each.reversal],
    each.fits && release !== null ? 'yes' : 'no',
    isWhereItMust(each) ? progressOf(each) : colors.yellow(progressOf(each)),
    each.expected === null ? '' : progressText(each.expected),
  ]);
  const table = borderless(
    head.map((title) => colors.dim(title)),
    rows,
  );
  const runnable = dataMigrations.find(({ fits }) => fits && release !== null);
  return [
    `${instance} ${stands}.`,
    '',
    table,
    ...(runnable === undefined ? [] : ['', `To move one: pg-unwind data run ${instance} ${runnable.id} --forward`]),
  ].join('\n');
}

const BACK: Readonly<Record<ListedData['reversal'], string>> = {
  reversible: 'reverse',
  notNeeded: 'not needed',
  irreversible: 'none',
};

function progressOf({ progress, progressFrom }: ListedData): string {
  if (progress === null) return 'unknown';
  return progressFrom === 'record' ? `${progressText(progress)} (noted)` : progressText(progress);
}

function isWhereItMust({ expected, progress }: ListedData): boolean {
  return expected === null || progress === null || progress === expected;
}
