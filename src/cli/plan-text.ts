import type { Plan, PlannedLeg, PlannedStep } from '../contract/plan.js';
import type { Destruction } from '../contract/script.js';
import { countSteps, destructiveSteps } from '../plan/report.js';
import { borderless } from './table.js';
import type { Terminal } from './terminal.js';

/** The plan as people read it before they start it. */
export interface PlanView {
  readonly instance: string;
  readonly plan: Plan;
  readonly alreadyThere: boolean;
  readonly warnings: readonly string[];
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
    ...plan.legs.flatMap((leg, index) => [legTitle(plan, leg, index, colors), legTable(leg, colors), '']),
    ...warningLines(view, colors),
    ...consentLines(view, colors),
  ].join('\n');
}

function headline({ instance, plan }: PlanView): string {
  const from = plan.from.release ?? 'between releases';
  const steps = countSteps(plan).total;
  return (
    `${instance}: ${from} ${plan.direction === 'down' ? '↓' : '↑'} ${plan.to.release}${aliasText(plan.to.aliases)} · ` +
    `${steps} ${steps === 1 ? 'step' : 'steps'} in ${plan.legs.length} ${plan.legs.length === 1 ? 'leg' : 'legs'} · ` +
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
  if (rows.length === 0) return ' no steps: only the release marker';
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

function consentLines({ instance, plan }: PlanView, colors: Terminal['colors']): string[] {
  const verb = plan.direction === 'down' ? 'downgrade' : 'upgrade';
  const command = `pg-unwind ${verb} ${instance} --to ${plan.to.release}`;
  const destructive = destructiveSteps(plan).length;
  if (destructive === 0) {
    return [
      `Plan ${colors.bold(plan.id)}`,
      `No step loses content: it runs without consent. Start it with`,
      `  ${command}`,
    ];
  }
  return [
    `Plan ${colors.bold(plan.id)}`,
    `${destructive} ${destructive === 1 ? 'step loses' : 'steps lose'} content (marked !) that no later upgrade brings back. To consent to exactly this plan, start it with`,
    `  ${command} --accept-data-loss ${plan.id}`,
    `or start it without and, once it waits, type`,
    `  pg-unwind approve ${instance} --plan ${plan.id}`,
  ];
}
