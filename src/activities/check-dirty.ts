import type { Activities } from '../contract/activities.js';
import { checkDatabase, verdictFrom } from '../step/dirty-check.js';
import { onPlannedServer } from '../step/server.js';
import type { ActivityDeps } from './deps.js';

/** A check that rode behind the last commit of this very worker answers for a second; after that the database is asked. */
const RIDING_MS = 1_000;

export function createCheckDirty({ instances, verdicts, log, metrics }: ActivityDeps): Activities['checkDirty'] {
  return async ({ instance, run, database: name, nextSeq, timeline, server }) => {
    const riding = verdicts.recall(run, name, nextSeq, RIDING_MS);
    if (riding !== null) return verdictFrom(riding, name, timeline);
    const database = instances.open(instance).database(name);
    const raw = await onPlannedServer(database.sessions, name, server, async () => {
      await database.prepare();
      return checkDatabase(database, run, nextSeq);
    });
    verdicts.keep(run, name, raw);
    const verdict = verdictFrom(raw, name, timeline);
    metrics.check({ instance, database: name }, verdict);
    if (!verdict.clean) {
      log.warn(
        { instance, run, database: name, nextSeq },
        `${name} is dirty: ${verdict.reasons.map((reason) => `${reason.evidence} [${reason.code}]`).join(' · ')}`,
      );
    }
    return verdict;
  };
}
