import { FailureType, UnwindError } from '../contract/errors.js';
import type { Plan } from '../contract/plan.js';
import { dataSteps, dataStepLabel } from './report.js';

/**
 * Data migrations that are to be moved by an activity of the product's own: nothing here calls one yet, so a run would stand before it
 * for ever. What is only left as it is needs no handler.
 * @throws {UnwindError} ScriptRefused: names each of them.
 */
export function expectHandlers(plan: Plan): void {
  const refused = dataSteps(plan)
    .map(({ step }) => step)
    .filter(({ act, handler }) => handler.kind === 'activity' && (act === 'forward' || act === 'reverse'));
  if (refused.length === 0) return;
  const one = refused.length === 1;
  throw new UnwindError(
    FailureType.ScriptRefused,
    `${one ? 'A data migration' : `${refused.length} data migrations`} of this plan cannot be run: ${one ? 'its handler is an activity' : 'their handlers are activities'}, ` +
      'and this version of pg-unwind runs "sql" handlers only:\n' +
      `${refused.map((step) => `${dataStepLabel(step)}: ${step.act}`).join('\n')}\n` +
      `Nothing was changed. Give ${one ? 'it' : 'them'} "sql" in data-migrations.yaml and build the catalog again ("pg-unwind catalog build"), ` +
      `or choose a target for which ${one ? 'it need' : 'they need'} not run.`,
    { details: { dataMigrations: refused.map(({ id, database, act }) => ({ id, database, act })) } },
  );
}
