import type { Activities } from '../contract/activities.js';
import { acceptDirty, skipStep } from '../step/overrule.js';
import { findNotAtEnd } from './data-at-release.js';
import type { ActivityDeps } from './deps.js';

/** Accepts one reason of a dirty check, as it was shown. */
export function createAcceptDirty(deps: ActivityDeps): Activities['acceptDirty'] {
  const { instances, plans, verdicts, log } = deps;
  return async ({ instance, database: name, reason, leg, ...order }) => {
    const database = instances.open(instance).database(name);
    await database.prepare();
    const { run } = order;
    const notAtEnd =
      reason.code === 'dataNotAtEnd' && leg !== null
        ? await findNotAtEnd(deps, { instance, run, plan: await plans.plan(database, order.plan), leg }, database)
        : [];
    const found = notAtEnd.length === 0 ? [] : [{ code: 'dataNotAtEnd', data: notAtEnd }];
    await acceptDirty(database, { ...order, leg, shown: reason }, found);
    verdicts.keep(run, name, null);
    const { by, why } = order;
    log.warn(
      { instance, run, database: name, code: reason.code, by, why },
      `${name}: ${by ?? 'somebody'} accepted ${reason.code} (${reason.evidence}): ${why}`,
    );
  };
}

/** Takes one step for done, as the operator left it. */
export function createSkipStep({ instances, plans, verdicts, log }: ActivityDeps): Activities['skipStep'] {
  return async ({ instance, database: name, leg, ...order }) => {
    const database = instances.open(instance).database(name);
    await database.prepare();
    const { run, seq, migration, direction, by, why } = order;
    const { script } = await plans.step(database, order.plan, leg, seq);
    await skipStep(database, { ...order, script: script.sha256 });
    verdicts.keep(run, name, null);
    log.warn(
      { instance, run, database: name, seq, migration, by, why },
      `${name} ${migration} ${direction}: ${by ?? 'somebody'} took this step over, and it was not run: ${why}`,
    );
  };
}
