import { isAcceptable } from '../contract/dirty.js';
import { FailureType } from '../contract/errors.js';
import type { DatabaseProgress, Parked, RunState, UnwindReport } from '../contract/messages.js';
import { totalsText } from '../plan/loss-figures.js';
import { bar, cut, durationText, percent } from './bars.js';
import type { ShownStatus } from './data-figures.js';
import { dataLines, dataText } from './data-lines.js';
import type { Terminal } from './terminal.js';
import { timeLeftText } from './time-left.js';

const STATE_WORDS: Readonly<Record<RunState, string>> = {
  planning: 'planning',
  awaitingApproval: 'waits for consent',
  running: 'running',
  needsOperator: 'needs an operator',
  paused: 'paused',
  atStop: 'waits for the application',
  waiting: 'waits for sessions of others to end',
  verifying: 'verifying',
  turningBack: 'turns back',
  completed: 'completed',
  aborted: 'aborted',
  cancelled: 'cancelled',
};

export function stateText({ state, hook }: ShownStatus): string {
  return state === 'atStop' && hook?.state === 'calling' ? `calls hooks.${hook.name}` : STATE_WORDS[state];
}

/** What stands behind the name of a command about a run: `acme-eu`, or `acme-eu --data 7`. */
export function commandOperands(instance: string, data: string | undefined): string {
  return data === undefined ? instance : `${instance} --data ${data}`;
}

const operandsOf = ({ instance, dataMigration }: ShownStatus) => commandOperands(instance, dataMigration?.id);

/** The run goes no further until a person says something. */
export function waitsForPerson(status: ShownStatus): boolean {
  if (status.state === 'atStop') return status.hook?.state !== 'calling';
  return ['needsOperator', 'awaitingApproval', 'paused'].includes(status.state);
}

/** `leg 3/19 → v6.4.0`; empty while there is no plan. */
export function legText(status: ShownStatus): string {
  if (status.leg === null || status.legs === 0 || status.dataMigration !== undefined) return '';
  return `leg ${status.leg}/${status.legs}${status.release === null ? '' : ` → ${status.release}`}`;
}

/** The block that is redrawn on a terminal. */
export function progressBlock(status: ShownStatus, terminal: Terminal, elapsedMs: number): string {
  const { colors } = terminal;
  const title =
    `${colors.bold(status.instance)} ${wayText(status)}  ` +
    [paintState(status, colors), legText(status), stepsText(status), durationText(elapsedMs)]
      .filter((part) => part !== '')
      .join(' · ');
  const nameWidth = Math.max(0, ...Object.keys(status.databases).map((name) => name.length));
  const numberWidth = Math.max(0, ...Object.values(status.databases).map((it) => String(it.total).length)) * 2 + 1;
  const lines = Object.entries(status.databases).flatMap(([name, progress]) => {
    const held = status.held?.[name];
    return [
      databaseLine(name.padEnd(nameWidth), progress, numberWidth, status, terminal),
      ...(held === undefined ? [] : [colors.yellow(`    ↳ ${held}`)]),
    ];
  });
  const left = timeLeftText(status, Date.now());
  return [
    title,
    ...lines,
    ...dataLines(status, terminal),
    ...(left === '' ? [] : [colors.dim(`  ${left}`)]),
    ...waitingLines(status, colors),
  ].join('\n');
}

export function wayText({ dataMigration, direction, from, to }: ShownStatus): string {
  if (dataMigration === undefined) return `${from === null ? '' : `${from} `}${direction === 'down' ? '↓' : '↑'} ${to}`;
  return `data migration ${dataMigration.id} ${dataMigration.direction}${to === '' ? '' : ` at ${to}`}`;
}

function paintState(status: ShownStatus, colors: Terminal['colors']): string {
  const text = stateText(status);
  if (status.state === 'completed') return colors.green(text);
  return waitsForPerson(status) ? colors.yellow(text) : text;
}

export function stepsText(status: ShownStatus): string {
  return status.stepsTotal === 0 ? '' : `${status.stepsDone} of ${status.stepsTotal} steps`;
}

function databaseLine(
  name: string,
  progress: DatabaseProgress,
  numberWidth: number,
  status: ShownStatus,
  terminal: Terminal,
): string {
  const { colors } = terminal;
  const numbers = `${progress.done}/${progress.total}`.padStart(numberWidth);
  if (progress.total === 0) return `  ${name} ${bar(0, 0)} ${numbers}       ${colors.dim('nothing to do')}`;
  const full = progress.done >= progress.total;
  const painted = full ? colors.green(bar(1, 1)) : bar(progress.done, progress.total);
  const head = `  ${name} ${painted} ${numbers} ${percent(progress.done, progress.total).padStart(4)}`;
  const parked = status.parked.some((it) => it.database === name.trimEnd());
  const tail = parked ? 'parked' : currentText(progress);
  const room = terminal.columns - (11 + name.length + bar(0, 1).length + numberWidth) - 1;
  return tail === '' || room < 10 ? head : `${head}  ${colors.dim(cut(tail, room))}`;
}

function currentText({ current, done, total }: DatabaseProgress): string {
  if (current === null || done >= total) return '';
  return `${current.migration} ${current.name}`;
}

/** What was found and the next commands, when the run waits for a person; nothing otherwise. */
export function waitingLines(status: ShownStatus, colors: Terminal['colors']): string[] {
  if (status.state === 'awaitingApproval') {
    return [
      '',
      colors.yellow(`${status.instance} waits for consent to plan ${status.plan ?? '?'}`),
      ...(status.waitingFor === null ? [] : [`It waits for ${status.waitingFor}.`]),
      ...lossesShown(status),
      'What it destroys:',
      `  pg-unwind plan ${status.instance} --to ${status.to}${status.direction === 'up' ? ' --up' : ''}`,
      'Consent to exactly this plan, or give up:',
      `  pg-unwind approve ${status.instance} --plan ${status.plan ?? '<plan id>'}`,
      `  pg-unwind abort ${operandsOf(status)}`,
    ];
  }
  const { hook } = status;
  if (status.state === 'atStop' && hook?.state === 'calling') {
    return [
      '',
      `It waits for ${status.waitingFor ?? 'a hook'}.`,
      ...(hook.failed === undefined ? [] : [`  ${hook.failed}`]),
    ];
  }
  if (status.state === 'paused' || status.state === 'atStop') {
    const what = status.state === 'paused' ? 'is paused' : `waits at ${status.release ?? 'a release'}`;
    const command = status.state === 'paused' ? 'resume' : 'continue';
    return [
      '',
      colors.yellow(`${status.instance} ${what}`),
      ...(status.waitingFor === null ? [] : [`It waits for ${status.waitingFor}.`]),
      `  pg-unwind ${command} ${operandsOf(status)}`,
      `  pg-unwind abort ${operandsOf(status)}`,
    ];
  }
  if (status.state !== 'needsOperator') return [];
  const several = new Set(status.parked.map((it) => it.database)).size > 1;
  return [
    '',
    colors.yellow(`${status.instance} needs an operator`),
    ...status.parked.flatMap((it) => parkedLines(it)),
    ...(status.parked.length === 0 && status.waitingFor !== null ? [`It waits for ${status.waitingFor}.`] : []),
    ...serverSaid(status),
    ...acceptCommands(status),
    'When the cause is gone, go on; or end the run where it stands:',
    ...retryCommands(status, several),
    ...(hook === undefined
      ? []
      : [`  pg-unwind continue ${operandsOf(status)}    # what hooks.${hook.name} is for was done by hand`]),
    `  pg-unwind abort ${operandsOf(status)}`,
  ];
}

function lossesShown({ losses }: ShownStatus): string[] {
  if (losses === undefined) return [];
  return [totalsText(losses), ...losses.largest.map((text) => `  ${text}`)];
}

function parkedLines(parked: Parked): string[] {
  const where = [parked.database ?? 'the instance', parked.migration].filter((part) => part !== null).join(' ');
  return [
    `${where}: ${parked.failure} during ${parked.during}, since ${parked.since}`,
    `  ${parked.message}`,
    ...parked.reasons.map(
      (reason) =>
        `  - ${reason.database} ${reason.code}: ${reason.evidence}${reason.remedy ? ` What to do: ${reason.remedy}` : ''}`,
    ),
  ];
}

/** Texts of the server can hold values of rows, so they stay in the databases. */
function serverSaid({ instance, parked }: ShownStatus): string[] {
  const failed = parked.filter(({ failure }) => SAID_BY_SERVER.has(failure));
  return failed.length === 0
    ? []
    : ['What the server said:', `  pg-unwind log ${instance} --failures --last ${failed.length}`];
}

const SAID_BY_SERVER: ReadonlySet<string> = new Set([FailureType.StepFailed, FailureType.DataFailed]);

/** Above the commands that come first: a short terminal shows the last lines. */
function acceptCommands({ instance, parked }: ShownStatus): string[] {
  const reasons = parked.flatMap((it) => it.reasons);
  const several = new Set(reasons.map(({ database }) => database)).size > 1;
  const commands = reasons
    .filter(({ code }) => isAcceptable(code))
    .map(
      ({ code, database }) =>
        `  pg-unwind accept ${instance} ${code}${several ? ` --database ${database}` : ''} --why '…'`,
    );
  return commands.length === 0 ? [] : ['What was found may stay as it is:', ...commands];
}

function retryCommands(status: ShownStatus, several: boolean): string[] {
  if (!several) return [`  pg-unwind retry ${operandsOf(status)}`];
  return status.parked
    .filter((it) => it.database !== null)
    .map((it) => `  pg-unwind retry ${operandsOf(status)} --database ${it.database}`);
}

/** One line of plain progress. */
export function progressLine(status: ShownStatus): string {
  const perDatabase = Object.entries(status.databases)
    .filter(([, progress]) => progress.total > 0)
    .map(([name, progress]) => `${name} ${progress.done}/${progress.total}`)
    .join(', ');
  const parts = [
    `${status.instance} ${stateText(status)}`,
    legText(status),
    stepsText(status) + (perDatabase === '' ? '' : ` (${perDatabase})`),
    ...dataText(status),
    timeLeftText(status, Date.now()),
  ];
  return parts.filter((part) => part !== '').join(' · ');
}

/** What holds up its steps, for a line of plain progress; empty where nothing does. */
export function heldText({ held = {} }: ShownStatus): string {
  return Object.entries(held)
    .map(([database, reason]) => `${database} ${reason}`)
    .join(' · ');
}

/** The last line of a run, in plain words. */
export function closingLine(report: UnwindReport): string {
  if (report.dataMigration !== undefined) return dataClosingLine(report, report.dataMigration);
  switch (report.outcome) {
    case 'completed':
      return `${report.instance} stands at ${report.to}: ${report.stepsDone} of ${report.stepsTotal} steps done, ${verifiedText(report)}.`;
    case 'alreadyThere':
      return `${report.instance} already stands at ${report.to}: nothing to do, checked.`;
    case 'aborted':
      return (
        `${report.instance} was stopped by an operator${reachedText(report)}. ` +
        `Start "pg-unwind ${report.direction === 'down' ? 'downgrade' : 'upgrade'} ${report.instance} --to ${report.to}" to go on, ` +
        `or the other direction to go back.`
      );
    default:
      return report.outcome satisfies never;
  }
}

/** Where no step was done it stands where it began, which need not be between releases. */
function reachedText({ plan, from, standsAt, stepsDone, stepsTotal }: UnwindReport): string {
  if (plan === null) return ' before it had a plan: no step was done';
  const steps = `: ${stepsDone} of ${stepsTotal} steps done`;
  if (standsAt !== null) return `${steps}, last verified release ${standsAt}`;
  return stepsDone === 0 && from !== null ? `${steps}, it began at ${from}` : `${steps}, between releases`;
}

function dataClosingLine(
  { instance, outcome }: UnwindReport,
  { id, database, direction, rows }: NonNullable<UnwindReport['dataMigration']>,
): string {
  const what = `${instance} ${database} data migration ${id}`;
  const end = direction === 'forward' ? 'newer' : 'older';
  switch (outcome) {
    case 'completed':
      return `${what} went ${direction}: ${rows.toLocaleString('en')} rows moved, all are in the ${end} form, verified.`;
    case 'alreadyThere':
      return `${what}: all rows are in the ${end} form already, nothing to do, verified.`;
    case 'aborted':
      return (
        `${what} was stopped by an operator; what it has moved stays. Start ` +
        `"pg-unwind data run ${instance} ${id} --${direction}" to go on there.`
      );
    default:
      return outcome satisfies never;
  }
}

/** Drift does not stop a run, but nobody should read "verified" over it. `reportNotes` names each, before this line. */
export function verifiedText({ drift }: Pick<UnwindReport, 'drift'>): string {
  const count = Object.values(drift).reduce((sum, differences) => sum + differences.length, 0);
  if (count === 0) return 'verified';
  return `verified but for ${count === 1 ? '1 difference' : `${count} differences`} from what it was there before (above)`;
}

/** Warnings and drift of a finished run, before its last line. */
export function reportNotes(report: UnwindReport): string[] {
  const drift = Object.entries(report.drift).flatMap(([database, differences]) =>
    differences.map((difference) => `drift in ${database}: ${difference}`),
  );
  return [...report.warnings.map((text) => `warning: ${text}`), ...drift];
}
