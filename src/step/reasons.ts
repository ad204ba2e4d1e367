import { createHash } from 'node:crypto';
import {
  isAcceptable,
  type DirtyCode,
  type DirtyReason,
  type DirtyWarning,
  type DirtyWarningCode,
} from '../contract/dirty.js';
import type { LockHolder, RawReason } from '../journal/answers.js';

/** Puts what the database's `check` found into words: what it is, what it could mean, what to do. */
export function reasonOf(raw: RawReason, database: string): DirtyReason {
  const code = raw.code as DirtyCode;
  const { evidence, remedy } = WORDS[code](raw.data, database);
  return { code, database, evidence, remedy, ...(isAcceptable(code) ? { mark: markOf(raw.data) } : {}) };
}

/** The evidence names the first ten objects; this is about all that the check has found, in the order of Postgres' jsonb. */
export function markOf(data: unknown): string {
  return createHash('sha256').update(JSON.stringify(data)).digest('hex').slice(0, 16);
}

export function warningOf(raw: RawReason, database: string): DirtyWarning {
  const code = raw.code as DirtyWarningCode;
  return { code, database, text: WARNINGS[code](raw.data as number | null) };
}

type Words = (data: unknown, database: string) => { evidence: string; remedy: string };

const RETRY = 'then send the update "retryStep"';

const WORDS: Record<DirtyCode, Words> = {
  unfinishedStep(data) {
    const steps = data as { seq: number; migration: string; direction: string; unit: number }[];
    return {
      evidence: steps
        .map(
          (step) =>
            `${step.migration} ${step.direction} began in another run and did not end; ${step.unit} of its parts are durable`,
        )
        .join('; '),
      remedy:
        'An earlier run stopped inside that migration. Abort this run and start one to the target of that earlier one: it takes the step up where it stopped.',
    };
  },
  unfinishedLedgerRow(data) {
    return {
      evidence: `the product's ledger says that ${idsOf(data)} began and did not end, and our journal knows nothing of it`,
      remedy:
        "The product's own migrator was stopped inside it. Look at what that migration changes, complete or undo it by hand, " +
        `correct its newest row in the ledger, ${RETRY}.`,
    };
  },
  failedLedgerRow(data) {
    return {
      evidence: `the product's ledger says that ${idsOf(data)} failed`,
      remedy:
        "Read the error in that row of the product's ledger, bring the schema to the state before or after that migration, " +
        `record that state in the ledger, ${RETRY}.`,
    };
  },
  unexpectedAppliedSet(data) {
    const set = data as {
      migration?: string;
      expected?: string;
      found?: string;
      missing?: string[];
      unexpected?: string[];
      missingCount?: number;
      unexpectedCount?: number;
      /** Those of the unexpected that the run began with: undone since, or so the journal says. */
      undone?: string[];
      unrecorded?: { seq: number; migration: string }[] | null;
      /** The step that comes next has begun, and is not one that could simply begin anew. */
      halfDone?: string | null;
    };
    if (set.migration !== undefined) {
      return {
        evidence: `the ledger says "${set.found}" of ${set.migration}; the plan starts from "${set.expected}"`,
        remedy: `Somebody migrated this database since the plan was made (a restarted pod of another release?). Stop it, bring that migration back to "${set.expected}", ${RETRY}; or abort and start again.`,
      };
    }
    const undone = set.undone ?? [];
    const strange = (set.unexpected ?? []).filter((id) => !undone.includes(id));
    const unrecorded = set.unrecorded ?? [];
    const parts = [
      listOf('not applied, though this run has not undone them yet', set.missing, set.missingCount),
      listOf('applied, though this run has undone them', undone, undone.length),
      listOf(
        'applied, though they were not when the plan was made',
        strange,
        (set.unexpectedCount ?? 0) - undone.length,
      ),
      listOf(
        'done in the ledger, though the journal has no row of their steps',
        unrecorded.map(({ seq, migration }) => `${migration} (step ${seq})`),
        unrecorded.length,
      ),
    ].filter((part) => part !== null);
    const evidence = `the ledger's applied set is not the one of this point: ${parts.join('; ')}`;
    if (unrecorded.length > 0) {
      return {
        evidence,
        remedy:
          'Rows of pgunwind.step were deleted, or somebody did these steps by hand. Make sure that the ledger tells the truth about the ' +
          'schema, abort this run, and start again: the new one plans from the ledger.',
      };
    }
    if (typeof set.halfDone === 'string') {
      return {
        evidence: `${evidence}; meanwhile ${set.halfDone} is half done`,
        remedy:
          `Somebody migrated this database while ${set.halfDone} was under way. Stop it, bring the listed migrations back by hand (script and ` +
          `ledger row), ${RETRY}: ${set.halfDone} goes on where it stopped. A new start would have to pass them first, and could not while ` +
          'that step is half done.',
      };
    }
    return {
      evidence,
      remedy:
        'Somebody migrated this database or edited its ledger since the plan was made (a restarted pod of another release?). Stop it. ' +
        `Where only the ledger is wrong, correct its row, ${RETRY}. Where the schema was changed too, abort this run and start again: the new ` +
        'one plans from the ledger.',
    };
  },
  unknownAppliedId(data) {
    return {
      evidence: `applied ids that no release of the catalog knows: ${(data as string[]).join(', ')}`,
      remedy: 'Build a catalog that includes the release which carries them, and start again.',
    };
  },
  changedByOthers(data) {
    const { rows, counts } = data as {
      rows: { catalog: string; name: string | null; relation: string | null }[];
      counts: { catalog: string; expected: number; found: number }[];
    };
    const objects = objectsOf(rows);
    const parts = [
      objects.length > 0 ? `changed or made: ${objects.slice(0, 10).join(', ')}` : null,
      counts.length > 0
        ? `rows of the catalogs: ${counts.map((row) => `${row.catalog} ${row.found} instead of ${row.expected}`).join(', ')}`
        : null,
    ].filter((part) => part !== null);
    return {
      evidence: `someone else changed the schema since the last check (${parts.join('; ')})`,
      remedy:
        `Find out who (a deployment, a person, a cron job) and stop it. What was only added: drop it again, ${RETRY}. Otherwise abort this run, ` +
        "put back what the plan's next steps rely on, and start again: the new run counts from what is there. What may stay as it is, and does " +
        'not touch what the next steps rely on: accept it (update "acceptDirty").',
    };
  },
  invalidIndex(data) {
    const names = data as string[];
    return {
      evidence: `invalid indexes that were not there before: ${names.join(', ')}`,
      remedy: `A concurrent build failed. Drop them (${names.map((name) => `drop index concurrently ${name}`).join('; ')}), ${RETRY}.`,
    };
  },
  earlierAttemptAlive(data) {
    return {
      evidence: `an earlier attempt still works on the server: ${holdersOf(data)}`,
      remedy: `It is ended by the next claim: send the update "retryStep".`,
    };
  },
  lockHeld(data) {
    return {
      evidence: `another session holds the migration lock: ${holdersOf(data)}`,
      remedy: `Usually the product's own migrator, at work or waiting. Stop it (scale it to zero), ${RETRY}.`,
    };
  },
  indexBuildRunning(data) {
    const builds = data as { pid: number; relation: string; phase: string }[];
    return {
      evidence: builds
        .map((build) => `process ${build.pid} builds an index on ${build.relation} (${build.phase})`)
        .join('; '),
      remedy: `Let it end or cancel it, ${RETRY}.`,
    };
  },
  wrongServer(data) {
    const server = data as { kind: string; found?: unknown; seen?: unknown };
    const evidence =
      server.kind === 'timeline'
        ? `this server is on timeline ${String(server.found)}, the run has seen ${String(server.seen)}: it is an old primary`
        : server.kind === 'identifier'
          ? `this is another cluster (system identifier ${String(server.found)}) than the one the run began on (${String(server.seen)})`
          : `this is another database of the cluster (oid ${String(server.found)}) than the one the run began on (oid ${String(server.seen)}): a restored copy?`;
    return {
      evidence,
      remedy:
        'Let the connection reference of this database lead to the server and database of before, then send the update "retryStep". If the ' +
        'instance shall go on here (a restored copy, a new server), abort this run and start again: the new one plans from what is there.',
    };
  },
  standby() {
    return {
      evidence: 'the server is in recovery: a standby, which can be read but not changed',
      remedy: 'Point the connection reference at the primary, then send the update "retryStep".',
    };
  },
  dataNotAtEnd(data) {
    const all = data as readonly DataNotAtEnd[];
    const recorded = all.some((each) => each.recorded);
    return {
      evidence: all.map(describeNotAtEnd).join('; '),
      remedy:
        'Something has made rows of the other form (the application of another release?): stop it. Then abort this run and start again: the ' +
        `new plan carries such a data migration to its end first${atTarget(all)}; or put the rows right by hand, ${RETRY}.` +
        (recorded ? " Where only the product's own record is wrong, correct it." : ''),
    };
  },
};

/** A data migration that is not where the release wants it. */
export interface DataNotAtEnd {
  readonly id: string;
  readonly description: string;
  readonly expected: 0 | 1;
  readonly found: number;
  /** What the product has noted, and not what the data says. */
  readonly recorded: boolean;
}

/** Where the way ends here, the next plan has no leg. What is only noted may be of a release whose schema the queries do not fit. */
function atTarget(all: readonly DataNotAtEnd[]): string {
  const commands = all
    .filter(({ recorded }) => !recorded)
    .map(({ id, expected }) => `"pg-unwind data run <instance> ${id} --${expected === 0 ? 'reverse' : 'forward'}"`);
  return commands.length === 0
    ? ''
    : ` (at the target itself there is no way left to plan: abort, then ${commands.join(', ')})`;
}

function describeNotAtEnd({ id, description, expected, found, recorded }: DataNotAtEnd): string {
  const where = recorded ? "stands at %s in the product's own record" : 'is at %s';
  return `data migration ${id} (${description}) ${where.replace('%s', String(found))} and must be at ${expected} here`;
}

const WARNINGS: Record<DirtyWarningCode, (data: number | null) => string> = {
  otherSessions: (n) =>
    `${n === 1 ? 'another session is' : `${n} other sessions are`} connected: stop the services of the product during a downgrade`,
  longTransaction: (n) =>
    `${n === 1 ? 'a transaction is' : `${n} transactions are`} older than five minutes: that can hold up locks and concurrent index builds`,
  preparedTransaction: (n) =>
    `${n === 1 ? 'a prepared transaction is' : `${n} prepared transactions are`} open: such locks last until someone ends them`,
  refreshedView: () => 'a materialized view was refreshed since the last check',
  publicationForAllTables: () => 'a publication for all tables exists: it ships our journal to its subscribers too',
  replicationLag: (n) => `a standby is ${n} seconds behind`,
};

function idsOf(data: unknown): string {
  return (data as { migration: string; state: string }[]).map((row) => `${row.migration} (${row.state})`).join(', ');
}

function listOf(label: string, ids: string[] | undefined, count: number | undefined): string | null {
  if (ids === undefined || ids.length === 0) return null;
  const more = (count ?? ids.length) - ids.length;
  return `${label}: ${ids.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function describeRow(row: { catalog: string; name: string | null; relation: string | null }): string {
  const kind = row.catalog.replace(/^pg_/, '');
  if (row.relation === null) return `${kind} ${row.name ?? '?'}`;
  return row.name === null || kind === 'class'
    ? `${kind === 'class' ? 'relation' : kind} ${row.relation}`
    : `${kind} ${row.relation}.${row.name}`;
}

type ChangedRow = Parameters<typeof describeRow>[0];

/** Toast tables and row types come and go with their table, whose name is enough. */
function objectsOf(rows: readonly ChangedRow[]): string[] {
  const own = rows.filter(
    ({ catalog, name, relation }) =>
      !(relation ?? '').startsWith('pg_toast.') &&
      !(catalog === 'pg_type' && (relation !== null || (name ?? '').startsWith('_'))),
  );
  return [...new Set((own.length > 0 ? own : rows).map(describeRow))];
}

export function describeHolder(holder: LockHolder): string {
  const who =
    holder.application === null || holder.application === '' ? 'a session without a name' : `"${holder.application}"`;
  return `${who} (process ${holder.pid}, user ${holder.user ?? '?'}${holder.client === null ? '' : ` from ${holder.client}`}, ${holder.state ?? 'state unknown'}${holder.since === null ? '' : ` since ${holder.since}`})`;
}

function holdersOf(data: unknown): string {
  return (data as LockHolder[]).map(describeHolder).join('; ');
}
