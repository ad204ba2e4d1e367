import { ExitCode } from '../../contract/errors.js';
import type { Past, PastRun } from '../../instance/past.js';
import { durationText } from '../bars.js';
import { argument, stringOption, type CommandSpec, type Invocation, type OptionSpec } from '../command.js';
import { CliFailure, CommandError } from '../failure.js';
import { withEngine } from '../session.js';
import { borderless } from '../table.js';
import { printJson, type Terminal } from '../terminal.js';
import { momentText } from '../past-text.js';

export const historyCommand: CommandSpec = {
  name: 'history',
  args: '<instance>',
  summary: 'The runs of an instance, newest first: from where to where, how each ended, and who decided what.',
  details:
    'Read from the journals in the databases; needs no Temporal, and knows runs that Temporal has forgotten. Times are UTC. ' +
    'A database that cannot be reached is named, and the others are shown.',
  options: [lastOption('20', 'how many runs')],
  examples: ['history shop-dev', 'history shop-dev --last 5 --json'],
  json: true,
  run: (invocation) =>
    withEngine(invocation, async (engine) => {
      const { terminal, json } = invocation;
      const instance = argument(invocation, 0);
      const { entries: runs, unread } = await engine.history({ instance, last: lastOf(invocation) });
      if (json) printJson(terminal, { instance, runs, unread });
      else terminal.out(historyText(instance, { entries: runs, unread }, terminal.colors));
      return ExitCode.done;
    }),
};

export function lastOption(value: string, description: string): OptionSpec {
  return { flags: '--last <number>', description, default: value };
}

/** @throws {CommandError} Usage. */
export function lastOf({ options }: Invocation): number {
  const text = stringOption(options, 'last') ?? '';
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new CommandError(CliFailure.Usage, `--last takes a number from 1 to 999999, not "${text}". Nothing was done.`);
}

export function historyText(
  instance: string,
  { entries: runs, unread }: Past<PastRun>,
  colors: Terminal['colors'],
): string {
  const missing = Object.entries(unread).map(([database, why]) =>
    colors.yellow(`${database} could not be read: ${why}`),
  );
  if (runs.length === 0) return [`No journal of ${instance} holds a run.`, ...missing].join('\n');
  const head = ['planned (UTC)', 'run', 'way', 'state', 'steps', 'took', 'decided'];
  const rows = runs.map((run) => [
    momentText(run.plannedAt).slice(0, 19),
    run.run.slice(0, 8),
    wayOf(run),
    paintState(run, colors),
    `${run.stepsDone}/${run.stepsTotal}`,
    tookText(run),
    decidedText(run),
  ]);
  const table = borderless(
    head.map((title) => colors.dim(title)),
    rows,
  );
  return [
    table,
    ...missing,
    '',
    `What happened in one: pg-unwind log ${instance} --run ${runs[0]?.run.slice(0, 8)}`,
  ].join('\n');
}

function wayOf({ from, direction, target }: PastRun): string {
  if (target.startsWith('data migration ')) return target;
  return `${from ?? 'between releases'} ${direction === 'down' ? '↓' : '↑'} ${target}`;
}

function paintState({ state, claimedAt }: PastRun, colors: Terminal['colors']): string {
  if (state === 'completed') return colors.green(state);
  if (claimedAt === null) return `${state}, nothing done`;
  return state === 'open' ? colors.yellow(state) : state;
}

/** From the first claim: what came before was waiting for consent. */
function tookText({ claimedAt, endedAt }: PastRun): string {
  return claimedAt === null || endedAt === null ? '' : durationText(Date.parse(endedAt) - Date.parse(claimedAt));
}

const MOST_DECISIONS = 4;
/** Somebody answers for something that is lost or was passed over: named however many there are. */
const ANSWERED_FOR: ReadonlySet<string> = new Set([
  'approve',
  'takeOver',
  'acceptDirty',
  'skipStep',
  'abort',
  'turnBack',
]);

function decidedText({ decisions }: PastRun): string {
  const isNamed = decisions.map(({ kind }, at) => at < MOST_DECISIONS || ANSWERED_FOR.has(kind));
  const named = decisions.filter((_, at) => isNamed[at]);
  const texts = named.map(({ kind, by }) => (by === null ? kind : `${kind} (${by})`));
  const more = decisions.length - named.length;
  return [...texts, ...(more === 0 ? [] : [`${more} more`])].join(', ');
}
