import type { DataMigrationId } from '../contract/catalog.js';
import type { Plan, PlannedDataStep, PlannedLeg } from '../contract/plan.js';
import { dataSteps, dataStepLabel, progressText, windowText } from '../plan/report.js';
import { borderless } from './table.js';
import type { Terminal } from './terminal.js';

/** From 0 to 1, as the data said when it was asked; null where it could not be asked, or only its activity knows. */
export type DataProgress = Readonly<Record<DataMigrationId, number | null>>;

const ACT_WORDS: Readonly<Record<PlannedDataStep['act'], string>> = {
  forward: 'forward',
  reverse: 'reverse',
  leave: 'left as it is',
  lose: 'cannot be reversed',
};

/** The data migrations of a leg, in the order in which those of one database run; '' where there are none. */
export function dataTable(
  { data = [] }: PlannedLeg,
  progress: DataProgress | undefined,
  colors: Terminal['colors'],
): string {
  if (data.length === 0) return '';
  const head = ['data migration', 'database', 'description', 'what', 'why here', 'progress', 'rows'];
  const rows = data.map((step) => [
    step.id,
    step.database,
    step.description,
    step.act === 'lose' ? colors.yellow(ACT_WORDS.lose) : ACT_WORDS[step.act],
    windowText(step),
    foundText(progress?.[step.id]),
    step.estimatedRows === null ? '' : `about ${step.estimatedRows.toLocaleString('en-US')}`,
  ]);
  return borderless(
    head.map((title) => colors.dim(title)),
    rows,
  );
}

function foundText(progress: number | null | undefined): string {
  if (progress === undefined) return '';
  return progress === null ? 'unknown' : progressText(progress);
}

/** What stays in a form that the target cannot read, or may: for the lines about consent. */
export function lostData(plan: Plan, progress: DataProgress | undefined): { certain: string[]; possible: string[] } {
  const lost = dataSteps(plan).filter(({ step }) => step.act === 'lose');
  const labels = (of: (found: number | null) => boolean) =>
    lost.filter(({ step }) => of(progress?.[step.id] ?? null)).map(({ step }) => dataStepLabel(step));
  return {
    certain: labels((found) => found !== null && found > 0),
    possible: labels((found) => found === null),
  };
}
