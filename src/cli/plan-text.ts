import type { LossReport } from '../contract/losses.js';
import type { Plan, PlannedLeg, PlannedStep } from '../contract/plan.js';
import type { Destruction } from '../contract/script.js';
import { countSteps, dataSteps, destructiveSteps } from '../plan/report.js';
import { lossLines } from './loss-text.js';
import { dataTable, lostData, type DataProgress } from './plan-data-text.js';
import { borderless } from './table.js';
import type { Terminal } from './terminal.js';
import { afterLines, beforeLines, stopLines, type Turns } from './turns-text.js';

/** The plan as people read it before they start it. */
export interface PlanView extends Turns {
  readonly instance: string;
  /** As it was asked for. */
  readonly via?: string | undefined;
  readonly plan: Plan;
  readonly alreadyThere: boolean;
  readonly warnings: readonly string[];
  /** Of the plan's data migrations, where it was asked for. */
  readonly progress?: DataProgress;
  readonly losses?: LossReport;
}

/** `table jobs, column users.email`, the losses first; `(possibly)` where the text only may do it. */
export function destroysText(destroys: readonly Destruction[], limit = 4): string {
  const losses = destroys.filter((it) => it.loss === 'data');
  const structure = destroys.filter((it) => it.loss === 'structure');
  const texts = [
    ...losses.map((it) => `${KIND_WORDS[it.kind]} ${objectText(it)}!`),
    ...structure.map((it) => `${KIND_WORDS[it.kind]} ${objectText(it)}`),
  ];
  const unique = [...new Set(texts)];
  const shown = unique.slice(0, limit).join(', ');
  return unique.length > limit ? `${shown} and ${unique.length - limit} more` : shown;
}

const KIND_WORDS: Readonly<Record<Destruction['kind'], string>> = {
  table: 'table',
  column: 'column',
  rows: 'rows of',
  rewrite: 'rewrites',
  type: 'type',
  schema: 'schema',
  sequence: 'sequence',
  materializedView: 'materialized view',
  view: 'view',
  function: 'function',
  index: 'index',
  constraint: 'constraint',
  policy: 'policy',
  trigger: 'trigger',
  extension: 'extension',
  default: 'default of',
  other: '',
};

function objectText(destruction: Destruction): string {
  const cascade = destruction.cascade ? ' cascade' : '';
  return `${destruction.object}${cascade}${destruction.certainty === 'certain' ? '' : ' (possibly)'}`;
}

/** One table per leg; the databases of a leg run side by side, so each has its own lines in it. */
export function formatPlan(view: PlanView, colors: Terminal['colors']): string {
  const { plan } = view;
  if (view.alreadyThere) {
    return [
      `${view.instance} already stands at ${plan.to.release}: the plan has no step.`,
      ...warningLines(view, colors),
    ].join('\n');
  }
  return [
    headline(view),
    '',
    ...beforeLines(view),
    ...plan.legs.flatMap((leg, index) => [
      legTitle(plan, leg, index, colors),
      ...legTables(view, leg, colors),
      ...stopLines(view.instance, plan, index, view).map((line) => colors.bold(line)),
      '',
    ]),
    ...afterLines(view),
    ...warningLines(view, colors),
    ...(view.losses === undefined ? [] : lossLines(view.losses, colors)),
    ...consentLines(view, colors),
  ].join('\n');
}

function headline({ instance, plan }: PlanView): string {
  const from = plan.from.release ?? 'between releases';
  const steps = countSteps(plan).total;
  const data = dataSteps(plan).length;
  const dataText = data === 0 ? '' : ` and ${data} data ${data === 1 ? 'migration' : 'migrations'}`;
  return (
    `${instance}: ${from} ${plan.direction === 'down' ? '↓' : '↑'} ${plan.to.release}${aliasText(plan.to.aliases)} · ` +
    `${steps} ${steps === 1 ? 'step' : 'steps'}${dataText} in ${plan.legs.length} ${plan.legs.length === 1 ? 'leg' : 'legs'} · ` +
    `databases ${plan.databases.join(', ')}`
  );
}

function aliasText(aliases: readonly string[]): string {
  if (aliases.length === 0) return '';
  const shown = aliases.slice(0, 3).join(', ');
  return ` (= ${shown}${aliases.length > 3 ? ` and ${aliases.length - 3} more` : ''})`;
}

function legTitle(plan: Plan, leg: PlannedLeg, index: number, colors: Terminal['colors']): string {
  const perDatabase = Object.entries(leg.steps)
    .map(([database, steps]) => `${database} ${steps.length}`)
    .join(', ');
  return `${colors.bold(`Leg ${index + 1}/${plan.legs.length} → ${leg.release}`)}${aliasText(leg.aliases)}  ${perDatabase}`;
}

/** In the order of the run: the schema first, then the data. */
function legTables({ progress }: PlanView, leg: PlannedLeg, colors: Terminal['colors']): string[] {
  return [legTable(leg, colors), dataTable(leg, progress, colors)].filter((table) => table !== '');
}

function legTable(leg: PlannedLeg, colors: Terminal['colors']): string {
  const rows = Object.entries(leg.steps).flatMap(([database, steps]) =>
    steps.map((step) => [
      database,
      String(step.seq),
      step.migration,
      step.name,
      executionText(step),
      lossMarked(step, colors),
    ]),
  );
  if (rows.length === 0) {
    return leg.data === undefined
      ? ' no steps: only the release marker'
      : ' no schema steps: only data, on this schema';
  }
  return borderless(
    ['database', '#', 'id', 'name', 'executes', 'destroys'].map((title) => colors.dim(title)),
    rows,
  );
}

function executionText(step: PlannedStep): string {
  const units = step.execution === 'segmented' ? ` ×${step.units}` : '';
  const flags = `${step.privileged ? ' privileged' : ''}${step.terminateBlockers ? ' ends blockers' : ''}`;
  return `${step.execution}${units}${flags}`;
}

function lossMarked(step: PlannedStep, colors: Terminal['colors']): string {
  const text = destroysText(step.destroys);
  return step.destroys.some((it) => it.loss === 'data') ? colors.yellow(text) : colors.dim(text);
}

const WARNINGS_SHOWN = 20;

function warningLines(view: PlanView, colors: Terminal['colors']): string[] {
  const inPlan = new Set(view.plan.warnings.map(({ text }) => text));
  const texts = [
    ...view.warnings.filter((text) => !inPlan.has(text)),
    ...view.plan.warnings.map(({ database, migration, text }) =>
      [database, migration].filter((part) => part !== null).join(' ') === '' || text.includes(migration ?? '\0')
        ? text
        : `${[database, migration].filter((part) => part !== null).join(' ')}: ${text}`,
    ),
  ];
  const unique = [...new Set(texts)];
  const lines = unique.slice(0, WARNINGS_SHOWN).map((text) => `${colors.yellow('warning:')} ${text}`);
  if (unique.length > WARNINGS_SHOWN) {
    lines.push(`${colors.yellow('warning:')} … and ${unique.length - WARNINGS_SHOWN} more (--json prints all)`);
  }
  return lines.length > 0 ? [...lines, ''] : [];
}

function consentLines({ instance, via, plan, progress }: PlanView, colors: Terminal['colors']): string[] {
  const verb = plan.direction === 'down' ? 'downgrade' : 'upgrade';
  const command = `pg-unwind ${verb} ${instance} --to ${plan.to.release}${via === undefined ? '' : ` --via ${via}`}`;
  const destructive = destructiveSteps(plan).length;
  const lost = lostData(plan, progress);
  const planLine = `Plan ${colors.bold(plan.id)}`;
  const possible = lost.possible.map(
    (label) => `${label} cannot be reversed: if it has progressed, the run waits for consent to this plan.`,
  );
  if (destructive === 0 && lost.certain.length === 0) {
    const harmless = possible.length > 0 ? possible : ['No step loses content: it runs without consent.'];
    return [planLine, ...harmless.slice(0, -1), `${harmless.at(-1)} Start it with`, `  ${command}`];
  }
  const losses = [
    ...(destructive === 0
      ? []
      : [
          `${destructive} ${destructive === 1 ? 'step loses' : 'steps lose'} content (marked !) that no later upgrade brings back.`,
        ]),
    ...lost.certain.map(
      (label) => `${label} has progressed and cannot be reversed: ${plan.to.release} cannot read those rows.`,
    ),
    ...possible,
  ];
  return [
    planLine,
    ...losses.slice(0, -1),
    `${losses.at(-1)} To consent to exactly this plan, start it with`,
    `  ${command} --accept-data-loss ${plan.id}`,
    `or start it without and, once it waits, type`,
    `  pg-unwind approve ${instance} --plan ${plan.id}`,
  ];
}
