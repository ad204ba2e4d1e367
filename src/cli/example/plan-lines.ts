import type { Plan } from '../../contract/plan.js';
import { countSteps, dataSteps, dataStepLabel, destructiveSteps } from '../../plan/report.js';
import { destroysText } from '../plan-text.js';

const LOSSES_SHOWN = 5;

export function consent(plan: Plan): { acceptDataLoss?: string } {
  return destructiveSteps(plan).length > 0 ? { acceptDataLoss: plan.id } : {};
}

export function stepsText(plan: Plan): string {
  return `${countSteps(plan).total} migrations and ${dataSteps(plan).length} data migration in ${plan.legs.length} legs`;
}

/** As a run counts them. */
export function allSteps(plan: Plan): number {
  return countSteps(plan).total + dataSteps(plan).length;
}

/** Where, between two legs, data goes back. */
export function dataLinesOf(plan: Plan): string[] {
  return dataSteps(plan).map(({ leg, step }) => {
    const next = plan.legs[leg + 1]?.release;
    const until = next === undefined ? '' : `, before the leg to ${next}`;
    return `data goes back at ${plan.legs[leg]?.release}${until}: ${dataStepLabel(step)}`;
  });
}

export function lossLines(plan: Plan): string[] {
  const losing = destructiveSteps(plan);
  if (losing.length === 0) return [];
  const shown = losing.slice(0, LOSSES_SHOWN).map(({ database, step }) => {
    const lost = step.destroys.filter((it) => it.loss === 'data');
    return `  ${database} ${step.migration} ${step.name}: ${destroysText(lost, 3)}`;
  });
  const rest =
    losing.length > LOSSES_SHOWN ? [`  … and ${losing.length - LOSSES_SHOWN} more ("pg-unwind plan" lists them)`] : [];
  return [`${losing.length} steps lose content; the demo consents to plan ${plan.id.slice(0, 12)}…`, ...shown, ...rest];
}
