import type pg from 'pg';
import type { DatabaseName, MigrationId } from '../contract/catalog.js';
import type { DirtyReason } from '../contract/dirty.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Direction } from '../contract/plan.js';
import { halfDone, openRuns, type RunRow } from '../journal/runs.js';
import type { LedgerReading } from '../journal/ledgers/ledger.js';
import type { AppliedState } from '../plan/applied.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from '../step/database.js';
import { dirty } from '../step/failures.js';
import { reasonOf } from '../step/reasons.js';
import { OVERRIDDEN, overriddenSettings, overriddenWarning, type OverriddenSetting } from './overridden-settings.js';

/** What one database says before a plan: read only, nothing is created. */
export interface Survey {
  readonly database: DatabaseName;
  /** For the planner: an id that our own journal calls half done counts as not yet done. */
  readonly state: AppliedState;
  /** Ids that the ledger itself calls applied now: the base of a run. */
  readonly base: readonly MigrationId[];
  /** The ledger's table exists. */
  readonly hasLedger: boolean;
  readonly hasJournal: boolean;
  /** Cluster and database: two logical databases may not share one. */
  readonly physical: string;
  /** Open runs in the journal, newest first; none without a journal. */
  readonly runs: readonly RunRow[];
  /** What a reader of the plan should know about this database beside the plan itself. */
  readonly warnings: readonly string[];
}

/**
 * @throws {UnwindError} NoLedger, DirtyDatabase (a standby; unfinished or failed attempts in the ledger that are not ours),
 *   InsufficientPrivileges.
 */
export async function surveyDatabase(database: InstanceDatabase, direction: Direction): Promise<Survey> {
  return database.sessions.withSession(async ({ client }) => {
    const standing = await readStanding(client, database);
    if (standing.recovery) {
      throw dirty(database.name, [reasonOf({ code: 'standby', data: null }, database.name)]);
    }
    const { reading, half, runs } = await readRecords(client, database, standing.journal).catch((error: unknown) => {
      throw sqlstateOf(error) === '42501' ? mayNotRead(database, standing) : error;
    });
    if (reading === null || reading.states.size === 0)
      refuseStrangeDatabase(database, direction, standing, reading !== null);
    if (standing.foreign.length > 0) throw lackingOwnership(database, standing);
    const warnings = standing.settings.map((setting) => overriddenWarning(database.name, standing.role, setting));
    if (reading === null) {
      return {
        database: database.name,
        state: { applied: [], absent: [] },
        base: [],
        hasLedger: false,
        hasJournal: standing.journal,
        physical: standing.physical,
        runs,
        warnings,
      };
    }
    return {
      ...stateOf(database, reading, half),
      hasLedger: true,
      hasJournal: standing.journal,
      physical: standing.physical,
      runs,
      warnings,
    };
  });
}

/**
 * Ledger and journal in one snapshot: an attempt of ours that still ends in between would be a row of the ledger of which the
 * journal knows nothing.
 */
async function readRecords(client: pg.ClientBase, database: InstanceDatabase, journal: boolean) {
  await client.query('begin isolation level repeatable read, read only');
  const reading = await database.ledger.read(client, database.ledgerOptions);
  if (reading === null) await client.query('rollback'); // a ledger that is not there has aborted it
  const half = journal ? await halfDone(client) : [];
  const runs = journal ? await openRuns(client) : [];
  if (reading !== null) await client.query('commit');
  return { reading, half, runs };
}

interface Standing {
  readonly recovery: boolean;
  readonly physical: string;
  readonly tables: number;
  readonly journal: boolean;
  readonly role: string;
  readonly createsSchemas: boolean;
  /** Relations of the product's schema that the role does not own; at most eleven. */
  readonly foreign: readonly string[];
  readonly settings: readonly OverriddenSetting[];
}

const STANDING = `-- pg-unwind survey.standing
select pg_is_in_recovery() as recovery,
       (select s.system_identifier from pg_control_system() s) || '/' || (select d.oid from pg_database d where d.datname = current_database()) as physical,
       (select count(*)::integer from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pgunwind')) as tables,
       exists (select from pg_class c
                where c.relnamespace = to_regnamespace('pgunwind') and c.relname = 'meta')
         and coalesce(has_schema_privilege(to_regnamespace('pgunwind')::oid, 'usage'), false) as journal,
       current_user::text as role,
       has_database_privilege(current_database(), 'create') as "createsSchemas",
       array(select c.oid::regclass::text
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = $1
                and c.relkind in ('r', 'p', 'v', 'm', 'S')
                and not pg_has_role(c.relowner, 'usage')
                and not exists (select from pg_depend d
                                 where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
              order by 1
              limit 11) as foreign,
       ${overriddenSettings('$2')} as settings`;

async function readStanding(client: pg.ClientBase, database: InstanceDatabase): Promise<Standing> {
  const values = [database.ledgerOptions.schema, OVERRIDDEN];
  const { rows } = await client.query<Standing>(STANDING, values);
  return rows[0] as Standing;
}

function refuseStrangeDatabase(
  database: InstanceDatabase,
  direction: Direction,
  { tables, role, createsSchemas }: Standing,
  hasLedger: boolean,
): void {
  const table = 'migration_logs';
  if (direction === 'up' && tables <= (hasLedger ? 1 : 0)) {
    if (createsSchemas) return;
    throw new UnwindError(
      FailureType.InsufficientPrivileges,
      `The role "${role}" may not create schemas in "${database.name}", which the journal needs. Nothing was changed. ` +
        `As the database's owner: grant create on database … to "${role}"; then retry.`,
    );
  }
  const found = hasLedger
    ? `its ledger (${table}) has no row for "${database.ledgerOptions.key}"`
    : `it has no ledger (${table} in schema "${database.ledgerOptions.schema}")`;
  const holds = tables === 0 ? 'holds no tables' : `holds ${tables} tables`;
  throw new UnwindError(
    FailureType.NoLedger,
    `"${database.name}" cannot be ${direction === 'down' ? 'downgraded' : 'upgraded'}: ${found}, and the database ${holds}. Nothing was changed. ` +
      'Check the connection reference and the ledgerKey of this database in pg-unwind.yaml; ' +
      (tables === 0
        ? 'an empty database can be filled with "pg-unwind upgrade".'
        : 'nothing can be planned without the ledger.'),
    { details: { tables, hasLedger } },
  );
}

/** As a rule it owns nothing there; what else it could lack it is not told by the server either. */
function mayNotRead(database: InstanceDatabase, standing: Standing): UnwindError {
  if (standing.foreign.length > 0) return lackingOwnership(database, standing);
  return new UnwindError(
    FailureType.InsufficientPrivileges,
    `The role "${standing.role}" may not read the product's ledger or our journal in "${database.name}" (SQLSTATE 42501). ` +
      `Nothing was changed. Connect as the owner of both, or make "${standing.role}" a member of that role, then retry.`,
  );
}

function lackingOwnership(database: InstanceDatabase, { role, foreign }: Standing): UnwindError {
  const shown = foreign.slice(0, 10).join(', ');
  return new UnwindError(
    FailureType.InsufficientPrivileges,
    `The role "${role}" does not own everything that the plan may have to change in "${database.name}": ${shown}` +
      `${foreign.length > 10 ? ' and more' : ''}. Nothing was changed. Connect as the owner, or make "${role}" a member of the owning role, then retry.`,
    { details: { relations: foreign.slice(0, 10) } },
  );
}

type HalfDone = Awaited<ReturnType<typeof halfDone>>[number];

function stateOf(
  database: InstanceDatabase,
  reading: LedgerReading,
  half: readonly HalfDone[],
): Pick<Survey, 'database' | 'state' | 'base'> {
  const applied = [...reading.applied];
  const absent: MigrationId[] = [];
  const begun: MigrationId[] = [];
  const unfinished: unknown[] = [];
  const failed: unknown[] = [];
  for (const [migration, state] of reading.states) {
    if (state === 'applied') continue;
    if (state === 'absent') {
      absent.push(migration);
      continue;
    }
    const since = reading.attempts.get(migration)?.startedAt ?? null;
    const ours = half.some((step) => step.migration === migration && state === `${step.direction}-running`);
    if (!ours) (state.endsWith('-failed') ? failed : unfinished).push({ migration, state, since });
    else if (state === 'down-running')
      applied.push(migration); // half undone: still to be undone
    else begun.push(migration); // half made: still to be made
  }
  const reasons: DirtyReason[] = [];
  if (unfinished.length > 0) reasons.push(reasonOf({ code: 'unfinishedLedgerRow', data: unfinished }, database.name));
  if (failed.length > 0) reasons.push(reasonOf({ code: 'failedLedgerRow', data: failed }, database.name));
  if (reasons.length > 0) throw dirty(database.name, reasons);
  return { database: database.name, state: { applied, absent, begun }, base: reading.applied };
}
