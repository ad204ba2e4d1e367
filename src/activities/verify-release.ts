import type { Activities } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import type { Plan } from '../contract/plan.js';
import { doneSteps } from '../journal/runs.js';
import { behind } from '../step/fence.js';
import { checkDatabase, verdictFrom } from '../step/dirty-check.js';
import type { InstanceDatabase } from '../step/database.js';
import { compareWithKnown } from '../step/release-fingerprint.js';
import { dataAtRelease } from './data-at-release.js';
import type { ActivityDeps } from './deps.js';

const NOTHING: Awaited<ReturnType<typeof dataAtRelease>> = { reasons: [], warnings: [] };

/**
 * After a leg: the check that the next step would meet, in every database; and, if asked or if the instance wants it at every
 * release, the schema against what this database showed at the same applied set before. Where the
 * product has data migrations, also whether each is where the release wants it.
 */
export function createVerifyRelease(deps: ActivityDeps): Activities['verifyRelease'] {
  const { instances, plans, verdicts, log } = deps;
  return async ({ instance, run, plan: planId, leg: at, fingerprint }) => {
    const { databases, config } = instances.open(instance);
    const plan = await plans.plan(databases[0] as InstanceDatabase, planId);
    const compare = fingerprint || config.options.verify === 'every-release';
    const release = plan.legs[at]?.release ?? plan.to.release;
    const answers = await Promise.all(
      databases.map(async (database) => {
        await database.prepare();
        const next = nextSeq(plan, at, database.name);
        const raw = await checkDatabase(database, run, next);
        const done = await database.sessions.withSession(({ client }) => doneSteps(client, run));
        // Clean and behind is what a failover leaves: what stands is consistent, and not this release.
        if (done.size < next - 1) throw behind(database.name, release);
        verdicts.keep(run, database.name, raw);
        const setHash = plan.legs[at]?.setHash[database.name] ?? '';
        // Ahead is what a reset leaves: this release was passed, and is not what stands.
        const drift =
          compare && done.size === next - 1
            ? await database.sessions.withSession((session) =>
                compareWithKnown(database, session, run, release, setHash),
              )
            : [];
        const { reasons } = verdictFrom(raw, database.name);
        const rests = done.size === next - 1 && reasons.length === 0;
        const data = rests ? await dataAtRelease(deps, { instance, run, plan, leg: at }, database) : NOTHING;
        const { warnings } = data;
        return { database: database.name, reasons: [...reasons, ...data.reasons], drift, warnings };
      }),
    );
    for (const { database, drift } of answers) {
      if (drift.length === 0) continue;
      log.warn(
        { instance, run, database },
        `${database} differs at ${release} from what it was there before: ${drift.slice(0, 5).join('; ')}`,
      );
    }
    const warnings = answers.flatMap((answer) => answer.warnings);
    return {
      release,
      ...(warnings.length === 0 ? {} : { warnings }),
      reasons: answers.flatMap(({ reasons }) => reasons),
      drift: Object.fromEntries(
        answers.filter(({ drift }) => drift.length > 0).map(({ database, drift }) => [database, drift.slice(0, 50)]),
      ),
    };
  };
}

/** One past the last step of this database up to and including the leg. */
function nextSeq(plan: Plan, leg: number, database: DatabaseName): number {
  return plan.legs.slice(0, leg + 1).reduce((sum, each) => sum + (each.steps[database]?.length ?? 0), 0) + 1;
}
