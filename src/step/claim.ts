import type pg from 'pg';
import type { Owner } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { Answer } from '../journal/answers.js';
import { readFence } from '../journal/runs.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from './database.js';
import { attemptOf, busy, endBackend, holdersIn } from './fence.js';
import { namingBlockers } from './lock-waits.js';
import { expectServer } from './server.js';

// What a claim promises.
// 1. Sessions of earlier claims are ended before the new token is written: cancelled, terminated, and seen to be gone.
//    Only a CONCURRENTLY statement may finish: ending it would leave an INVALID index for nothing.
// 2. The token is written under the lock. A transaction of an earlier claim that still lives holds the fence's row
//    `for share`; the write waits for it, so nothing of the old claim commits after the new token exists.
// 3. Another workflow's open run is left alone unless an operator decided otherwise.

export interface ClaimOrder {
  readonly run: string;
  readonly owner: Owner;
  readonly takeOver: boolean;
  /** Cluster and database that the run was planned on, `<system identifier>/<oid>`. */
  readonly server?: string;
}

const OUR_SESSIONS = `-- pg-unwind claim.our-sessions
select a.pid, to_jsonb(a.backend_start) #>> '{}' as "backendStart", a.application_name as application,
       a.state = 'active' and exists (
         select from pgunwind.step s
          where s.state = 'started' and s.pid = a.pid and s.backend_start = a.backend_start
            and s.intent ->> 'kind' <> 'opaque') as finishing
  from pg_stat_activity a
 where a.datname = current_database()
   and pgunwind.is_issued(a.application_name)
   and a.pid <> pg_backend_pid()`;

interface SessionRow {
  pid: number;
  /** Null: of another role, whose sessions ours may not look into. */
  backendStart: string | null;
  application: string;
  finishing: boolean;
}

const CLAIM = `-- pg-unwind claim.claim
select pgunwind.claim($1, $2, $3, $4, $5, $6, $7)::text as token`;

/**
 * Issues a fence token for the run on this database.
 * @throws {UnwindError} ClaimedByAnother, InstanceBusy (retryable), StaleAttempt never.
 */
export async function claimDatabase(
  database: InstanceDatabase,
  order: ClaimOrder,
  { waiting, pause }: { waiting: (what: string) => void; pause: (ms: number) => Promise<void> },
): Promise<string> {
  return database.sessions.withSession(async (session) => {
    const { client } = session;
    await refuseForeignClaim(client, database, order); // 3
    let finishing = false;
    const { rows } = await client.query<SessionRow>(OUR_SESSIONS);
    for (const earlier of rows) {
      if (attemptOf(earlier.application) === null) continue;
      if (earlier.finishing) {
        finishing = true;
        continue;
      }
      waiting(`ending the session of an earlier claim, process ${earlier.pid}`);
      await endBackend(client, earlier, pause); // 1
    }
    const lock = database.ledger.lockKey(database.ledgerOptions);
    const values = [
      order.run,
      order.owner.namespace,
      order.owner.workflowId,
      lock.classId,
      lock.objId,
      finishing,
      order.takeOver,
    ];
    try {
      // A transaction that compared an older token may still be under way, or somebody has locked a table of ours.
      const answer = await namingBlockers(database, session, { doing: 'The claim', tell: waiting }, () =>
        client.query<{ token: string }>(CLAIM, values),
      ); // 2
      return (answer.rows[0] as { token: string }).token;
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (sqlstate === Answer.claimed) await refuseForeignClaim(client, database, order); // it came between our look and the lock
      if (sqlstate === Answer.busy) throw busy(database.name, holdersIn(error));
      if (sqlstate === Answer.incomplete) {
        throw new UnwindError(
          FailureType.JournalIncomplete,
          `The run ${order.run} is not open in the journal of "${database.name}": another run has taken its place, or the database was restored. ` +
            'Nothing was changed. Abort this run and start again: the new one plans from journal and ledger.',
        );
      }
      throw error;
    }
  });
}

async function refuseForeignClaim(client: pg.ClientBase, database: InstanceDatabase, order: ClaimOrder): Promise<void> {
  const fence = await readFence(client);
  if (order.server !== undefined) expectServer(database.name, order.server, fence.server);
  const same = fence.namespace === order.owner.namespace && fence.workflowId === order.owner.workflowId;
  if (fence.run === null || !fence.open || same || order.takeOver) return;
  throw claimedByAnother(database.name, fence);
}

export function claimedByAnother(
  database: string,
  { workflowId, namespace, run }: { workflowId: string | null; namespace: string | null; run: string | null },
): UnwindError {
  return new UnwindError(
    FailureType.ClaimedByAnother,
    `"${database}" is claimed by the workflow ${workflowId} in the namespace ${namespace}, whose run ${run} has not ended. ` +
      'Nothing was changed. End that run (update "abort", or cancel it). If it is gone for good, start this one again with "takeOver": true.',
    { details: { workflowId, namespace, run } },
  );
}
