import type pg from 'pg';
import type { DirtyReason } from '../contract/dirty.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { LedgerTreatment } from '../contract/messages.js';
import type { Direction, PlanId } from '../contract/plan.js';
import { Answer, type RawCheck, type RawReason } from '../journal/answers.js';
import { newerJournal } from '../journal/missing.js';
import { JOURNAL_VERSION } from '../journal/version.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from './database.js';
import { busy, holdersIn, stale } from './fence.js';
import { namingBlockers } from './lock-waits.js';
import { markOf, reasonOf } from './reasons.js';

// What an operator's decision over a check or a step promises (overrule-functions.sql).
// 1. Decision and effect are one transaction, under both migration locks and the newest claim.
// 2. It is about what was shown: found is compared with shown in that transaction, and anything else refuses.
// 3. What comes after that transaction's one check is for the next check to find.

export interface Overruling {
  readonly run: string;
  readonly plan: PlanId;
  readonly token: string;
  readonly by: string | null;
  readonly why: string | null;
  readonly at: string;
}

const BEGIN = `-- pg-unwind overrule.begin
select pgunwind.begin_overrule($1) as verdict`;

const ACCEPT = `-- pg-unwind overrule.accept-dirty
select pgunwind.accept_dirty($1, $2, $3)`;

const SKIP = `-- pg-unwind overrule.skip-step
select pgunwind.skip_step($1, $2)`;

/** Where step 1 is done, the check answers for the one that really comes next. */
const WHATEVER_IS_NEXT = 1;

/**
 * @param leg 0-based, of the boundary where it was found; null: at a step.
 * @param found what was found just now, where that is not the check's to say (`dataNotAtEnd`).
 * @throws {UnwindError} DirtyDatabase: it is not what was shown, `reasons` is what is there now; StaleAttempt, InstanceBusy.
 */
export function acceptDirty(
  database: InstanceDatabase,
  order: Overruling & { readonly leg: number | null; readonly shown: DirtyReason },
  found: readonly RawReason[] = [],
): Promise<void> {
  const { shown, leg } = order;
  const details = { code: shown.code, evidence: shown.evidence, database: database.name };
  const parameters = { seq: WHATEVER_IS_NEXT, leg, mark: shown.mark, kind: 'acceptDirty', details };
  return decided(database, order, parameters, async (client, p, verdict) => {
    const raw = [...verdict.reasons, ...found];
    const finding = raw.find(({ code, data }) => code === shown.code && markOf(data) === shown.mark); // 2
    if (finding === undefined) throw notAsShown(shown, raw);
    await client.query(ACCEPT, [p, JSON.stringify(verdict), JSON.stringify(finding)]);
  });
}

export interface SkipOrder extends Overruling {
  readonly seq: number;
  readonly migration: string;
  readonly direction: Direction;
  /** sha-256 of the script. */
  readonly script: string;
  readonly ledger: LedgerTreatment;
}

/** What no operator's word about one step can pass over: it may not even be the database that was looked at. */
const STILL_IN_THE_WAY = new Set(['wrongServer', 'standby', 'unfinishedStep', 'unknownAppliedId', 'indexBuildRunning']);

/**
 * The step counts as done, as the operator left it.
 * @throws {UnwindError} DirtyDatabase (the ledger, another server …), JournalBehind (not its turn), StaleAttempt, InstanceBusy.
 */
export function skipStep(database: InstanceDatabase, order: SkipOrder): Promise<void> {
  const { seq, migration, direction, script, ledger } = order;
  const details = { database: database.name, seq, migration, direction, ledger };
  const parameters = { seq, migration, direction, script, ledger, kind: 'skipStep', details };
  return decided(database, order, parameters, async (client, p, verdict) => {
    const inTheWay = verdict.reasons.filter(({ code }) => STILL_IN_THE_WAY.has(code));
    if (inTheWay.length > 0) {
      const reasons = inTheWay.map((raw) => reasonOf(raw, database.name));
      throw new UnwindError(
        FailureType.DirtyDatabase,
        `Step ${seq} cannot be taken over while this stands in the way: ${evidenceOf(reasons)}. Nothing was done.`,
        { details: { reasons } },
      );
    }
    try {
      await client.query(SKIP, [p, JSON.stringify(verdict)]);
    } catch (error) {
      if (sqlstateOf(error) !== Answer.ledger) throw error;
      const after = direction === 'down' ? 'absent' : 'applied';
      throw new UnwindError(
        FailureType.DirtyDatabase,
        `The ledger of "${database.name}" says "${(error as pg.DatabaseError).detail ?? '?'}" of ${migration}, and after this step it must say ` +
          `"${after}". Nothing was done. Put its newest row right and send "skipStep" again, or send it with "ledger":"record": then that row is written.`,
      );
    }
  });
}

async function decided(
  database: InstanceDatabase,
  { run, plan, token, by, why, at }: Overruling,
  more: Readonly<Record<string, unknown>>,
  work: (client: pg.ClientBase, p: string, verdict: RawCheck) => Promise<void>,
): Promise<void> {
  const { classId, objId } = database.ledger.lockKey(database.ledgerOptions);
  const lock = { productClass: classId, productObject: objId };
  const p = JSON.stringify({ run, plan, token, by, why, at, journal: JOURNAL_VERSION, ...lock, ...more });
  await database.sessions.withSession(async (session) => {
    const { client } = session;
    try {
      await client.query('begin isolation level read committed'); // 1
      const { rows } = await namingBlockers(database, session, { doing: 'The decision', tell: () => undefined }, () =>
        client.query<{ verdict: RawCheck | null }>(BEGIN, [p]),
      );
      const verdict = rows[0]?.verdict ?? null;
      if (verdict !== null) await work(client, p, verdict); // 3
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw asAnswer(error, database.name);
    }
  });
}

function notAsShown(shown: DirtyReason, raw: readonly RawReason[]): UnwindError {
  const reasons = raw.map((each) => reasonOf(each, shown.database));
  const now = reasons.find(({ code }) => code === shown.code);
  return new UnwindError(
    FailureType.DirtyDatabase,
    now === undefined
      ? `It is not there any more: no "${shown.code}" is found on "${shown.database}". Nothing was accepted. Send the update "retryStep".`
      : `It has changed since it was shown: ${now.evidence}. Nothing was accepted. Look again, and send it again if that may stay.`,
    { details: { reasons } },
  );
}

function evidenceOf(reasons: readonly DirtyReason[]): string {
  return reasons.map(({ code, evidence }) => `${code} (${evidence})`).join('; ');
}

function asAnswer(error: unknown, database: string): unknown {
  switch (sqlstateOf(error)) {
    case Answer.busy:
      return busy(database, holdersIn(error));
    case Answer.stale:
      return stale(database);
    case Answer.version:
      return newerJournal(database, Number((error as pg.DatabaseError).detail));
    case Answer.behind:
      return new UnwindError(
        FailureType.JournalBehind,
        `The journal of "${database}" is not at this step: another one comes next there. Nothing was done. Send the update "retryStep".`,
      );
    case Answer.incomplete:
      return new UnwindError(
        FailureType.JournalIncomplete,
        `The journal of "${database}" holds no such open run or step. Nothing was done. Abort this run and start again.`,
      );
    default:
      return error;
  }
}
