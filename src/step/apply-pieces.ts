import { FailureType, UnwindError } from '../contract/errors.js';
import type { Unit } from '../contract/script.js';
import { MessageError, type MessageResult, type Notice } from '../postgres/message.js';
import type { Session } from '../postgres/session.js';
import { kindOf } from '../postgres/sqlstate.js';
import { carriedOut, refuseLostSession, type CarriedOut } from './carried-out.js';
import type { InstanceDatabase } from './database.js';
import type { BegunRow, Intent } from './failures.js';
import type { AttemptContext, StepOrder } from './order.js';
import { prepareAlone, proveAlone } from './probe.js';
import {
  AS_OURSELVES,
  OWN_STATEMENTS,
  beginStep,
  beginUnit,
  check,
  endStep,
  endUnit,
  releaseLocks,
  resumeStep,
  settingsBefore,
  statementsBefore,
  takesRoles,
  textOf,
  transaction,
  type LockKey,
} from './step-message.js';

export interface Pieces {
  readonly database: InstanceDatabase;
  readonly order: StepOrder;
  readonly context: AttemptContext;
  readonly session: Session;
  readonly lock: LockKey;
  readonly begun: BegunRow | null;
  readonly send: (text: string) => Promise<MessageResult>;
}

/**
 * A script with statements that refuse a transaction, or that commit where nobody can look: unit by unit on one session that
 * holds both locks. Before such a statement its intent is durable, after it the catalogs are probed; only then is the unit
 * recorded. A later attempt probes first.
 */
export async function applyInPieces(pieces: Pieces): Promise<CarriedOut> {
  const { order, session, lock, begun, send } = pieces;
  const { units } = order.script.facts;
  const notices: Notice[] = [];
  let how = 'ran';
  if (begun === null) {
    await send(transaction(beginStep(order, lock, pieces.context.check)));
  } else {
    refuseLostSession(order, begun);
    await send(transaction(resumeStep(order, lock, begun)));
    how = 'resumed';
  }
  const first = (begun?.unit ?? 0) + 1;
  if (begun !== null) {
    // What an earlier attempt had set is gone with its session; its role is taken at each unit (asScript).
    for (const setting of settingsBefore(order, units[first - 1] as Unit)) await session.client.query(setting);
    if (takesRoles(order)) await session.client.query(AS_OURSELVES);
  }
  for (let at = first; at <= units.length; at += 1) {
    const unit = units[at - 1] as Unit;
    const earlier = begun?.intent?.unit === at ? begun.intent : null;
    const inner: string[] = [beginUnit(order, lock, at)];
    const repeated = takesRoles(order) ? settingsBefore(order, unit) : [];
    if (unit.kind === 'transaction') {
      inner.push(...repeated);
      inner.push(`\n${textOf(order, unit)}\n;`);
    } else if (unit.kind === 'opaque') {
      notices.push(...(await runOpaque(pieces, unit, at, earlier)));
    } else {
      const { relations, found, said } = await runAlone(pieces, unit, at, earlier);
      notices.push(...said);
      if (found) how = 'probed';
      inner.push(`select pgunwind.own_relations('${order.run}', ${order.seq}, '{${relations.join(',')}}');`);
    }
    inner.push(at < units.length ? endUnit(order, at) : endStep(order, how));
    const message = await send(
      at < units.length
        ? transaction(...inner)
        : `${transaction(...inner)}\n${releaseLocks(lock)}\n${check(order.run, order.seq + 1, lock)}`,
    ).catch((error: unknown) => {
      throw countedFrom(error, statementsBefore(order, at) - statementsBefore(order, first) - repeated.length);
    });
    notices.push(...message.notices);
    if (at === units.length) return { ...carriedOut(message), notices };
  }
  throw new Error('a script in pieces without a piece; this is a fault of the analysis');
}

/** Each piece is a message of its own: its statements are counted on from those of the pieces before. */
function countedFrom(error: unknown, earlier: number): unknown {
  return error instanceof MessageError
    ? new MessageError(error.cause, error.completed + earlier, error.notices)
    : error;
}

/** The script's own statement under the role that the script has taken by then; records are written as ourselves. */
async function asScript<T>({ order, session }: Pieces, unit: Unit, work: () => Promise<T>): Promise<T> {
  if (!takesRoles(order)) return work();
  for (const setting of settingsBefore(order, unit)) await session.client.query(setting);
  const result = await work();
  await session.client.query(AS_OURSELVES);
  return result;
}

const WRITE_INTENT = `-- pg-unwind pieces.write-intent
select pgunwind.write_intent($1, $2, $3, $4, $5)`;

async function writeIntent({ order, session }: Pieces, intent: Intent, relations: readonly number[]): Promise<void> {
  await session.client.query(WRITE_INTENT, [order.run, order.seq, order.token, JSON.stringify(intent), relations]);
}

async function runOpaque(pieces: Pieces, unit: Unit, at: number, earlier: Intent | null): Promise<readonly Notice[]> {
  const { order, send } = pieces;
  if (earlier !== null) throw undecided(order, at, 'An earlier attempt died');
  await writeIntent(pieces, { unit: at, kind: 'opaque', table: null, indexes: [] }, []);
  try {
    return await asScript(pieces, unit, async () => (await send(textOf(order, unit))).notices);
  } catch (error) {
    // A lost session is looked up: where a failover has lost the intent too, nothing of the part is left, and it runs again.
    if (isLost(error)) throw error;
    // Even an error that the server reported may come after a commit inside.
    throw undecided(order, at, 'The script failed', error);
  }
}

function isLost(error: unknown): boolean {
  if (error instanceof UnwindError) return error.type === FailureType.DatabaseUnreachable;
  return error instanceof MessageError && kindOf(error.cause) === 'connectionLost';
}

function undecided(order: StepOrder, at: number, what: string, cause?: unknown): UnwindError {
  return new UnwindError(
    FailureType.StepUndecided,
    `${what} inside part ${at} of ${order.migration} ${order.direction} on "${order.database}". That part commits where nobody can look, so ` +
      'what it has done is not known, and it is not run again by itself. Compare the database with what the script does; complete or undo ' +
      'it by hand and bring the ledger to that state; then abort this run and start again: the new one plans from there.',
    { details: { unit: at }, cause },
  );
}

/**
 * A migrator of the product that waits for its lock inside the server has a snapshot there, and such a statement waits for all
 * older snapshots: the server would end the statement as the deadlock's victim, again at each attempt. So the product's lock
 * is given up for as long as the statement runs; ours stays, and the next transaction of the step wants both again.
 */
const WAIT_WITHOUT_END = `-- pg-unwind pieces.wait-without-end
with awaited as materialized (
  select exists (
    select from pg_locks l
     where l.locktype = 'advisory' and not l.granted and l.objsubid = 2
       and l.database = (select d.oid from pg_database d where d.datname = current_database())
       and l.classid::bigint = $1::integer::bigint & 4294967295 and l.objid::bigint = $2::integer::bigint & 4294967295) as it_is
)
select current_setting('lock_timeout') as lock, current_setting('client_connection_check_interval') as interval,
       case when a.it_is then pg_advisory_unlock($1, $2) else false end as awaited,
       set_config('lock_timeout', '0', false), set_config('client_connection_check_interval', '0', false)
  from awaited a`;

const RETAKE = `-- pg-unwind pieces.retake
select pg_try_advisory_lock($1, $2)`;

const WAIT_AS_BEFORE = `-- pg-unwind pieces.wait-as-before
select set_config('lock_timeout', $1, false), set_config('client_connection_check_interval', $2, false)`;

async function runAlone(
  pieces: Pieces,
  unit: Extract<Unit, { kind: 'alone' }>,
  at: number,
  earlier: Intent | null,
): Promise<{ relations: readonly number[]; found: boolean; said: readonly Notice[] }> {
  const { order, session, lock, send } = pieces;
  const before = await prepareAlone(session.client, order, unit.action, earlier);
  if (before.done) return { relations: before.relations, found: true, said: [] };
  if (earlier === null) {
    await writeIntent(
      pieces,
      { unit: at, kind: unit.action.kind, table: before.table, indexes: before.indexes },
      before.relations,
    );
  }
  // The statement waits for transactions, not for relation locks that others queue behind: a lock_timeout would only leave an
  // INVALID index. And it shall end even when we are gone.
  const { rows } = await session.client.query<{ lock: string; interval: string; awaited: boolean }>(WAIT_WITHOUT_END, [
    lock.classId,
    lock.objId,
  ]);
  const said: Notice[] = [];
  await asScript(pieces, unit, async () => {
    for (const cure of before.cures) said.push(...(await send(cure)).notices);
    const own = await send(before.instead ?? textOf(order, unit)).catch((error: unknown) => {
      const first = (pieces.begun?.unit ?? 0) + 1;
      throw countedFrom(error, OWN_STATEMENTS + statementsBefore(order, at) - statementsBefore(order, first));
    });
    said.push(...own.notices);
  });
  await session.client.query(WAIT_AS_BEFORE, [rows[0]?.lock, rows[0]?.interval]);
  if (rows[0]?.awaited === true) await session.client.query(RETAKE, [lock.classId, lock.objId]);
  const relations = await proveAlone(session.client, order, unit.action, before);
  return { relations, found: false, said };
}
