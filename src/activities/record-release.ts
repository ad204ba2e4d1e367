import type { Activities } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { Answer } from '../journal/answers.js';
import { markerOf } from '../journal/ledgers/release-marker.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from '../step/database.js';
import { behind, busy, holdersIn, stale } from '../step/fence.js';
import { namingBlockers } from '../step/lock-waits.js';
import type { ActivityDeps } from './deps.js';

const CLOSE_LEG = `-- pg-unwind record-release.close-leg
select pgunwind.close_leg($1, $2, $3, $4, $5, $6, $7) as closed`;

interface Closed {
  readonly found: 'written' | 'foundDone';
  readonly marker: string | null;
}

/**
 * Closes the leg in every journal; the product's own version row changes in the same transaction as the journal of the
 * database that holds it, and last, so that it never says a release that some database has not recorded.
 */
export function createRecordRelease({ instances, plans, log }: ActivityDeps): Activities['recordRelease'] {
  return async ({ instance, run, plan: planId, leg, tokens }) => {
    const closing = { doing: 'Closing the release', tell: () => undefined };
    const { databases } = instances.open(instance);
    const plan = await plans.plan(databases[0] as InstanceDatabase, planId);
    const release = plan.legs[leg]?.release;
    if (release === undefined) {
      throw new UnwindError(
        FailureType.JournalIncomplete,
        `Plan ${planId} has no leg ${leg + 1}. Nothing was changed.`,
      );
    }
    // Where a plan begins with the data of the release that stands, the product's own row says which label of it that is.
    const isStart = leg === 0 && Object.values(plan.legs[0]?.steps ?? {}).every((steps) => steps.length === 0);
    const close = async (database: InstanceDatabase): Promise<Closed> => {
      const lock = database.ledger.lockKey(database.ledgerOptions);
      const marker = database.marker === null || isStart ? null : markerOf(release);
      const values = [run, leg, release, tokens[database.name] ?? null, marker, lock.classId, lock.objId];
      await database.prepare();
      try {
        return await database.sessions.withSession(async (session) => {
          const { rows } = await namingBlockers(database, session, closing, () =>
            session.client.query<{ closed: Closed }>(CLOSE_LEG, values),
          );
          return (rows[0] as { closed: Closed }).closed;
        });
      } catch (error) {
        if (sqlstateOf(error) === Answer.busy) throw busy(database.name, holdersIn(error));
        if (sqlstateOf(error) === Answer.stale) throw stale(database.name);
        if (sqlstateOf(error) === Answer.behind) throw behind(database.name, release);
        throw error;
      }
    };
    const marked = databases.filter((database) => database.marker !== null);
    const others = await Promise.all(databases.filter((database) => database.marker === null).map(close));
    const last = await Promise.all(marked.map(close));
    const closed = [...others, ...last];
    const marker = last[0]?.marker ?? null;
    const found = closed.every((each) => each.found === 'foundDone') ? 'foundDone' : 'written';
    if (marker === 'noTable' || marker === 'noRow') {
      log.warn(
        { instance, run },
        `the product's version row was not written: ${marker === 'noTable' ? 'there is no such table' : 'it has no such row'}`,
      );
    }
    log.info(
      { instance, run, leg },
      `${instance} reached ${release} in all databases${found === 'foundDone' ? ' (found done)' : ''}`,
    );
    return { release, marker: marker === 'noTable' || marker === 'noRow' ? null : marker, found };
  };
}
