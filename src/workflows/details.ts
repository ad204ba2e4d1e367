import type { DataBeat, DataStepRef } from '../contract/activities.js';
import { isAcceptable } from '../contract/dirty.js';
import { FailureType } from '../contract/errors.js';
import { UpdateName, type Parked } from '../contract/messages.js';
import { acceptInput, isSkippable } from './overrule-refusals.js';
import { isHalted, type Progress, stateOf, stepsOf, stepsOfDatabase } from './progress.js';
import { totalsText } from '../plan/loss-figures.js';
import { statusOf } from './status.js';

/**
 * The picture of the run as Markdown, for the Web UI's "Current Details" and `temporal workflow metadata`: what matters first,
 * then what to type. Counts are `133 of 259`, because the Web UI renders `133/259` as a fraction.
 */
export function detailsOf(progress: Progress): string {
  return [
    heading(progress),
    ...parkedParts(progress),
    ...nextCommands(progress),
    ...table(progress),
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
    lines.push(`${where}${done} of ${total} steps done`);
  }
  const { waitingFor } = statusOf(progress);
  // As code: the Web UI would turn the quotes of the JSON into typographic ones, which nobody can paste.
  if (waitingFor) lines.push(`Waits for ${waitingFor.replace(/\{.*?\}/g, (json) => `\`${json}\``)}.`);
  const moving = [...progress.moving].filter(([database]) => !progress.parked.has(database));
  lines.push(
    ...moving.map(
      ([database, step]) => `${database}: ${dataText(step)}, ${howMoved(step, progress.figures.get(database))}`,
    ),
  );
  return lines.join('\n\n');
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
      `${place(entry)}since ${entry.since}. ${entry.message}`,
      ...entry.reasons.map(
        ({ code, database, evidence, remedy }) => `- **${code}** (${database}): ${evidence}\n  ${remedy}`,
      ),
      ...(entry.failure !== FailureType.DirtyDatabase && isSkippable(entry)
        ? ['Where you have carried the step out by hand, the update `skipStep` takes it for done.']
        : []),
    ].join('\n\n'),
  );
}

function place({ during, seq, migration }: Parked): string {
  return `During ${during}${migration === null ? '' : ` of ${migration}`}${seq === null ? '' : ` (step ${seq})`}, `;
}

function nextCommands(progress: Progress): string[] {
  const commands = commandsOf(progress);
  if (commands.length === 0) return [];
  return [...(stateOf(progress) === 'awaitingApproval' ? lossParts(progress) : []), fenced(commands)];
}

/** What a person may type now, the likeliest first; empty where nothing is left to be said. */
export function commandsOf(progress: Progress): string[] {
  const state = stateOf(progress);
  const commands: string[] = [];
  if (state === 'needsOperator') {
    const several = progress.parked.size > 1;
    for (const [database, entry] of progress.parked) {
      commands.push(update(progress, UpdateName.retryStep, several && database !== '' ? { database } : {}));
      const acceptable = entry.reasons.filter(({ code }) => isAcceptable(code));
      commands.push(
        ...acceptable.map((reason) => update(progress, UpdateName.acceptDirty, acceptInput(progress, reason))),
      );
    }
    if (isHalted(progress)) commands.push(update(progress, UpdateName.continue, {}));
  }
  if (state === 'awaitingApproval' && progress.plan) {
    commands.push(update(progress, UpdateName.approve, { plan: progress.plan.plan }));
  }
  if (state === 'paused') commands.push(update(progress, UpdateName.resume, {}));
  if (state === 'atStop') commands.push(update(progress, UpdateName.continue, {}));
  const over = state === 'completed' || state === 'aborted' || state === 'cancelled';
  if (!over && !progress.aborting && !progress.ending) {
    commands.push(update(progress, UpdateName.abort, {}));
    if (state === 'needsOperator' && progress.plan?.from) commands.push(update(progress, UpdateName.turnBack, {}));
  }
  return commands;
}

/** The figures of what is asked for; the words of the scripts, where nobody could count. */
function lossParts({ plan, input }: Progress): string[] {
  if (!plan) return [];
  const { losses, destructiveExamples } = plan;
  const lines = (losses?.largest ?? destructiveExamples).map((text) => `- ${text}`);
  const more =
    losses && losses.losses > losses.largest.length ? [`- … and ${losses.losses - losses.largest.length} more`] : [];
  const unknown =
    losses && losses.unknown > 0 ? [`- ${losses.unknown} steps may lose what is named only when they run`] : [];
  const title = losses ? `What is lost, counted at ${losses.takenAt}. ${totalsText(losses)}` : 'What is lost:';
  const whole = losses ? [`All of it: \`pg-unwind plan ${input.instance} --to ${plan.to} --html losses.html\``] : [];
  return lines.length === 0 ? [] : [`${title}\n\n${[...lines, ...more, ...unknown].join('\n')}`, ...whole];
}

function fenced(lines: readonly string[]): string {
  return ['```sh', ...lines, '```'].join('\n');
}

/** A line to copy: what the command line of Temporal takes as it is. */
function update(progress: Progress, name: string, input: Readonly<Record<string, string>>): string {
  const { namespace, workflowId } = progress.owner;
  return [
    'temporal workflow update execute',
    ...(namespace === 'default' ? [] : [`--namespace ${shellWord(namespace)}`]),
    `--workflow-id ${shellWord(workflowId)}`,
    `--name ${name}`,
    ...(Object.keys(input).length > 0 ? [`--input ${shellWord(JSON.stringify(input))}`] : []),
  ].join(' ');
}

function shellWord(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
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
      step ? `${step.migration} ${step.name}` : '',
      check ? `${check.clean ? 'clean' : 'dirty'} (${check.how}) ${check.at}` : '',
    ];
  });
  const lines = [['database', 'done', 'step', 'last check'], ['---', '---', '---', '---'], ...rows];
  return [lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')];
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
