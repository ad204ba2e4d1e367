import type { DataStepRef } from '../contract/activities.js';
import type { DataBeat } from '../contract/data-activities.js';
import { FailureType } from '../contract/errors.js';
import type { Parked, RunState } from '../contract/messages.js';
import { commandsOf } from './commands.js';
import { estimateOf } from './estimate.js';
import { type Move, movesOf } from './moves.js';
import { type Progress, stateOf, stepsOf, stepsOfDatabase } from './progress.js';
import { totalsText } from '../plan/loss-figures.js';
import { aboutText, untilText } from '../plan/time-text.js';
import { waitingFor } from './status.js';

/** States in which nothing goes on before a person has said something: how to say it stands before all figures. */
const ASKING: ReadonlySet<RunState> = new Set(['awaitingApproval', 'needsOperator', 'paused', 'atStop']);

/**
 * The picture of the run as Markdown, for the Web UI's "Current Details" and `temporal workflow metadata`: what matters first,
 * then what to type. Counts are `133 of 259`, because the Web UI renders `133/259` as a fraction.
 */
export function detailsOf(progress: Progress): string {
  const asks = ASKING.has(stateOf(progress));
  return [
    heading(progress),
    ...parkedParts(progress),
    ...lossTotals(progress),
    ...(asks ? [...nextMoves(progress), ...table(progress)] : [...table(progress), ...nextMoves(progress)]),
    ...wordsOfTheServer(progress),
    ...lossParts(progress),
    ...commandLines(progress),
    ...notes(progress),
  ]
    .join('\n\n')
    .trimEnd();
}

function heading(progress: Progress): string {
  const { plan, leg } = progress;
  const { done, total } = stepsOf(progress);
  const lines = [`**${stateOf(progress)}** · ${subjectOf(progress)}`];
  if (plan && !progress.asked) {
    const release = leg === null ? undefined : progress.legs[leg]?.release;
    const where = leg === null ? '' : `leg ${leg + 1} of ${progress.legs.length}, to ${release} · `;
    lines.push(`${where}${done} of ${total} steps done${leftText(progress)}`);
  }
  const waits = waitingFor(progress);
  // Without the JSON: it stands below as code. The Web UI would turn its quotes into typographic ones, which nobody can paste.
  if (waits) lines.push(`Waits for ${waits.replace(/ with \{.*?\}/g, '')}.`);
  const moving = [...progress.moving].filter(([database]) => !progress.parked.has(database));
  lines.push(
    ...moving.map(
      ([database, step]) => `${database}: ${dataText(step)}, ${howMoved(step, progress.figures.get(database))}`,
    ),
  );
  return lines.join('\n\n');
}

/** As of the last step; what it takes from there on nobody tells before the next one. */
function leftText(progress: Progress): string {
  const { estimate, estimatedEnd } = estimateOf(progress);
  if (estimate === undefined || estimatedEnd === null) return '';
  const until = untilText(Date.parse(estimate.asOf), estimate.seconds);
  return ` · ${aboutText(estimate.seconds)} left${until === '' ? '' : `, ${until}`}${estimate.basis === 'guess' ? ' (a guess)' : ''}`;
}

function subjectOf({ input, asked, plan, direction }: Progress): string {
  if (asked !== null) {
    return `${input.instance} data migration ${asked.id} ${asked.direction}${plan ? ` at ${plan.to}: ${plan.data?.description}` : ''}`;
  }
  const arrow = direction === 'down' ? '↓' : '↑';
  return `${input.instance} ${arrow} ${plan?.from ? `${plan.from} → ` : ''}${plan?.to ?? input.to}`;
}

function dataText({ id, act, description }: DataStepRef): string {
  return `data migration ${id} (${act}) ${description}`;
}

function howMoved({ activity }: DataStepRef, figures: DataBeat | undefined): string {
  if (activity === undefined) return 'in batches; its figures are in the pending activity.';
  const by = `by calls of \`${activity.type}\` on the task queue \`${activity.taskQueue}\``;
  if (figures === undefined) return `${by}.`;
  return `${by}: ${figures.rows} rows so far${figures.progress === null ? '' : `, at ${figures.progress} (0 is the older form)`}.`;
}

function parkedParts(progress: Progress): string[] {
  return [...progress.parked.values()].map((entry) =>
    [
      `### ${entry.database ?? 'The instance'} is parked: ${entry.failure}`,
      `${place(progress, entry)}since ${timeText(entry.since)}. ${entry.message}`,
      ...entry.reasons.map(
        ({ code, database, evidence, remedy }) => `- **${code}** (${database}): ${evidence}.\n\n  ${remedy}`,
      ),
    ].join('\n\n'),
  );
}

function place({ current }: Progress, { database, during, seq, migration }: Parked): string {
  const step = current.get(database ?? '');
  const name = step?.migration === migration ? ` ${step?.name}` : '';
  if (during === 'step' && migration !== null) return `In step ${seq}, ${migration}${name}, `;
  return `During ${during}${migration === null ? '' : ` of ${migration}${name}`}${seq === null ? '' : ` (step ${seq})`}, `;
}

/** They may hold data, so they stay in the database: how to ask for them. */
function wordsOfTheServer({ run, parked }: Progress): string[] {
  return [...parked.values()]
    .filter(({ failure, seq }) => failure === FailureType.StepFailed && seq !== null)
    .map(({ database, seq }) => {
      const query = [
        'select at, sqlstate, statement, message, detail',
        'from pgunwind.failure',
        `where run = '${run}' and seq = ${seq}`,
        'order by at desc limit 1;',
      ];
      return `What the server said, asked in the database "${database}":\n\n${fenced(query, 'sql')}`;
    });
}

/** In words, because the Web UI has a form for them; what goes into the form stands as code, which alone can be copied unchanged. */
function nextMoves(progress: Progress): string[] {
  const moves = movesOf(progress);
  if (moves.length === 0) return [];
  const busy =
    stateOf(progress) === 'running' ? ['What each step does at this moment is under "Pending Activities".'] : [];
  const lines = moves.map(({ name, input, when }) => `- \`${name}\` ${when}${dataFor(input)}`);
  return [...busy, `What can be sent ("More Actions", "Send an Update"):\n\n${lines.join('\n')}`];
}

function dataFor(input: Move['input']): string {
  const json = JSON.stringify(input, null, ' ').replace(/\n\s*/g, ' ');
  return Object.keys(input).length === 0 ? '' : `, with the data \`${json}\``;
}

function commandLines(progress: Progress): string[] {
  const commands = commandsOf(progress).map((line) => line.replace(/ (?=--)/, ' \\\n  '));
  return commands.length === 0 ? [] : ['The same on a command line:', fenced(commands)];
}

function lossTotals(progress: Progress): string[] {
  const losses = progress.plan?.losses;
  if (stateOf(progress) !== 'awaitingApproval' || !losses) return [];
  return [`Nothing has been changed yet. What is lost, counted at ${timeText(losses.takenAt)}. ${totalsText(losses)}`];
}

/** The figures of what is asked for; the words of the scripts, where nobody could count. */
function lossParts(progress: Progress): string[] {
  const { plan, input } = progress;
  if (stateOf(progress) !== 'awaitingApproval' || !plan) return [];
  const { losses, destructiveExamples } = plan;
  const lines = (losses?.largest ?? destructiveExamples).map((text) => `- ${text}`);
  if (lines.length === 0) return [];
  if (!losses) return [`What is lost:\n\n${lines.join('\n')}`];
  const more = losses.losses - losses.largest.length;
  const { unknown } = losses;
  if (more > 0) lines.push(`- … and ${more} more`);
  if (unknown > 0) {
    lines.push(`- ${unknown === 1 ? 'one step' : `${unknown} steps`} may lose what is named only when it runs`);
  }
  return [
    `The largest of it:\n\n${lines.join('\n')}`,
    `All of it: \`pg-unwind plan ${input.instance} --to ${plan.to} --html losses.html\``,
  ];
}

function fenced(lines: readonly string[], language = 'sh'): string {
  return ['```' + language, ...lines, '```'].join('\n');
}

/** `2026-11-23 16:31:08 UTC`, from ISO 8601: as the Web UI itself writes times. */
function timeText(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

function table(progress: Progress): string[] {
  const { plan } = progress;
  if (!plan) return [];
  const rows = plan.databases.map((database) => {
    const { done, total } = stepsOfDatabase(progress, database);
    const step = progress.current.get(database);
    const check = progress.lastCheck.get(database);
    return [
      database,
      `${done} of ${total}`,
      isAtBarrier(progress, database) ? 'waits for the others' : step ? `${step.migration} ${step.name}` : '',
      check ? `${check.clean ? 'clean' : 'dirty'} (${check.how}) ${check.at.slice(11, 19)} UTC` : '',
    ];
  });
  const lines = [['database', 'done', 'step', 'last check'], ['---', '---', '---', '---'], ...rows];
  return [lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')];
}

function isAtBarrier({ legs, leg, parked, phase }: Progress, database: string): boolean {
  const now = leg === null ? undefined : legs[leg];
  if (!now || now.closed || phase !== 'running' || parked.has(database)) return false;
  const moved = (now.dataDone?.[database] ?? 0) >= (now.data?.[database] ?? 0);
  return moved && (now.done[database] ?? 0) >= (now.steps[database] ?? 0);
}

function notes(progress: Progress): string[] {
  const { plan } = progress;
  const facts = plan ? [`Plan ${plan.plan}, run ${progress.run}${plan.resumed ? ' (goes on)' : ''}.`] : [];
  const points = Object.entries(progress.restorePoints ?? {}).map(
    ([database, { at, lsn, timeline, name }]) =>
      `- ${database}: ${at}, LSN ${lsn}, timeline ${timeline}${name === null ? '' : `, restore point \`${name}\``}`,
  );
  if (points.length > 0)
    facts.push(`Before anything was destroyed (for a point-in-time restore):\n\n${points.join('\n')}`);
  const warnings = [...progress.warnings.values()].map((text) => `- ${text}`);
  return warnings.length > 0 ? [...facts, `Warnings:\n\n${warnings.join('\n')}`] : facts;
}
