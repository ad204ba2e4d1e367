import type { CheckVerdict } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { Answer, type RawCheck } from '../journal/answers.js';
import { columnOf, MessageError, sendMessage } from '../postgres/message.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from './database.js';
import { reasonOf, warningOf } from './reasons.js';
import { check } from './step-message.js';

/**
 * Is the database what the journal says it must be before step `nextSeq` of the run? One round trip, one snapshot, no write.
 * `raw` goes into the row of the step that follows (begin_step) if it is younger than 10 s then.
 */
export async function checkDatabase(database: InstanceDatabase, run: string, nextSeq: number): Promise<RawCheck> {
  const lock = database.ledger.lockKey(database.ledgerOptions);
  return database.sessions.withSession(async ({ client }) => {
    try {
      const message = await sendMessage(client, check(run, nextSeq, lock));
      return columnOf<RawCheck>(message, 'pgu_check') as RawCheck;
    } catch (error) {
      const cause = error instanceof MessageError ? error.cause : error;
      if (sqlstateOf(cause) !== Answer.incomplete) throw error;
      throw new UnwindError(
        FailureType.JournalIncomplete,
        `The journal of "${database.name}" holds no run ${run}. Was the database restored from a copy of before? Nothing was changed. ` +
          'Abort this run and start again: the new one plans from journal and ledger.',
      );
    }
  });
}

/** @param seen the highest timeline that the run remembers: an old primary that came back does not know of the newer one itself. */
export function verdictFrom(raw: RawCheck, database: string, seen: number | null = null): CheckVerdict {
  const old = seen !== null && raw.timeline < seen;
  const reasons = old
    ? [...raw.reasons, { code: 'wrongServer', data: { kind: 'timeline', found: raw.timeline, seen } }]
    : raw.reasons;
  return {
    clean: raw.clean && !old,
    timeline: raw.timeline,
    reasons: reasons.map((reason) => reasonOf(reason, database)),
    warnings: raw.warnings.map((warning) => warningOf(warning, database)),
    how: raw.how,
    tookMs: raw.tookMs,
  };
}
