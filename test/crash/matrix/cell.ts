import { inspect } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { workflowIdOf } from '../../../src/contract/ids.js';
import {
  QueryName,
  UpdateName,
  type Parked,
  type StatusReport,
  type UnwindReport,
} from '../../../src/contract/messages.js';
import { diffFingerprints, describeDifference } from '../../../src/postgres/fingerprint-difference.js';
import { readFingerprint, type Fingerprint } from '../../../src/postgres/fingerprint.js';
import { queryAt, withClient, type Bench, type InstanceDatabases, type Site } from './bench.js';
import { DATABASES, LEDGER_KEYS, TO, WITNESSED, type DatabaseName } from './product.js';

/** What a run asked of its operator: the failure, and the codes of a dirty database. */
export interface Question {
  readonly failure: string;
  readonly codes: readonly string[];
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What an operator does about a question, as docs/operations.md and docs/dirty.md say. */
export type Answer = 'retry' | 'bringBack' | 'settleAndRestart' | 'restart';

export interface Drive {
  /** Null: this question was not foreseen, and the cell is red. */
  readonly answer: (question: Question) => Answer | null;
  /** A run that ended other than completed (cancelled, terminated) is started again, as its operator would. */
  readonly startsAgain: boolean;
  /** Undoes by hand what somebody did meanwhile. */
  readonly bringBack?: () => Promise<void>;
}

export interface Course {
  readonly questions: readonly Question[];
  readonly starts: number;
  readonly report: UnwindReport | null;
  /** Why the cell is red. */
  readonly red: string | null;
}

const LOOK_MS = 250;
const MAX_QUESTIONS = 20;

export async function startRun(
  site: Site,
  instance: string,
  workflowId = workflowIdOf(instance),
): Promise<WorkflowHandle> {
  return site.client.workflow.start('downgrade', {
    taskQueue: site.taskQueue,
    workflowId,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'FAIL',
    args: [{ instance, to: TO }],
  });
}

/**
 * Follows an instance until it stands at the target, playing its operator; gives up with the evidence after `withinMs`.
 * @param newest the handle to follow now: a fault may replace the run (reset, terminate).
 */
export async function drive(
  site: Site,
  bench: Bench,
  instance: string,
  { answer, startsAgain, bringBack }: Drive,
  deadline: number,
): Promise<Course> {
  const questions: Question[] = [];
  const databases = site.instances[instance] as InstanceDatabases;
  let starts = 1;
  const red = (why: string): Course => ({ questions, starts, report: null, red: why });
  for (;;) {
    if (Date.now() > deadline) return red(`did not end. ${await evidence(site, bench, instance)}`);
    const handle = site.client.workflow.getHandle(workflowIdOf(instance));
    const seen = await look(handle);
    if (seen.kind === 'completed') return { questions, starts, report: seen.report, red: null };
    if (seen.kind === 'over') {
      if (!startsAgain) return red(`the run ended: ${seen.how}`);
      await startRun(site, instance);
      starts += 1;
    } else if (seen.kind === 'asks') {
      const question = await questionOf(handle);
      if (question !== null) {
        questions.push(question);
        const what = questions.length > MAX_QUESTIONS ? null : answer(question);
        if (what === null) return red(`asked what was not foreseen: ${inspect(question, { breakLength: Infinity })}`);
        if (what === 'bringBack') await bringBack?.();
        if (what === 'retry' || what === 'bringBack') await handle.executeUpdate(UpdateName.retryStep, { args: [{}] });
        else {
          if (what === 'settleAndRestart') await settleOpaque(bench, databases);
          await endBy(handle);
          await startRun(site, instance);
          starts += 1;
        }
      }
    }
    await sleep(LOOK_MS); // the tick of a poll; the deadline is above
  }
}

/** A cancel that the row's fault has sent may come before the abort, or in the middle of it: then the run ends all the same. */
async function endBy(handle: WorkflowHandle): Promise<void> {
  await handle.executeUpdate(UpdateName.abort, { args: [{ by: 'crash matrix' }] }).catch((error: unknown) => {
    const cancelled = error instanceof WorkflowUpdateFailedError && error.cause instanceof CancelledFailure;
    if (!cancelled && !(error instanceof WorkflowNotFoundError)) throw error;
  });
  await handle.result().catch((error: unknown) => {
    if (!(error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure)) throw error;
  });
}

type Seen =
  | { readonly kind: 'running' }
  | { readonly kind: 'asks' }
  | { readonly kind: 'completed'; readonly report: UnwindReport }
  | { readonly kind: 'over'; readonly how: string };

/** From what the server knows by itself: a question to a dead worker would wait for its successor. */
async function look(handle: WorkflowHandle): Promise<Seen> {
  try {
    const described = await handle.describe();
    if (described.status.name === 'RUNNING') {
      const [state] = (described.searchAttributes['UnwindState'] as string[] | undefined) ?? [];
      return { kind: state === 'needsOperator' || state === 'awaitingApproval' ? 'asks' : 'running' };
    }
    if (described.status.name === 'COMPLETED') {
      const report = (await handle.result()) as UnwindReport;
      return report.outcome === 'completed' || report.outcome === 'alreadyThere'
        ? { kind: 'completed', report }
        : { kind: 'over', how: report.outcome };
    }
    return { kind: 'over', how: described.status.name };
  } catch (error) {
    if (error instanceof WorkflowFailedError) return { kind: 'over', how: 'FAILED' };
    const name = (error as Error).name;
    if (name === 'WorkflowNotFoundError') return { kind: 'over', how: 'unknown to the server' };
    return { kind: 'running' }; // the server is away
  }
}

/** Null: it is answered already, or another worker has to take the run up first. */
async function questionOf(handle: WorkflowHandle): Promise<Question | null> {
  const status = await handle.query<StatusReport>(QueryName.status).catch(() => null);
  if (status === null) return null;
  const [parked] = status.parked as readonly (Parked | undefined)[];
  if (status.state === 'awaitingApproval')
    return { failure: 'awaitingApproval', codes: [], message: '', at: Date.now() };
  if (status.state !== 'needsOperator' || parked === undefined) return null;
  return {
    failure: parked.failure,
    codes: parked.reasons.map((reason) => reason.code),
    message: [parked.message, ...parked.reasons.map((reason) => reason.evidence)].join(' · '),
    at: Date.parse(parked.since),
  };
}

/** docs/operations.md, "A step that only a person can decide": complete it by hand, then bring the ledger to that state. */
async function settleOpaque(bench: Bench, { frontend }: InstanceDatabases): Promise<void> {
  await withClient(bench.url(frontend), async (client) => {
    await client.query(
      `insert into witness (step, part) select 6, p from generate_series(1, 2) p
        where not exists (select from witness w where w.step = 6 and w.part = p)`,
    );
    await client.query(
      `update migration_logs set success = true, finished_at = clock_timestamp()
        where schema = $1 and version = 6 and not up and success is not true`,
      [LEDGER_KEYS.frontend],
    );
  });
}

/** What is wrong with an instance at its end; nothing: it is as if nobody had disturbed it. */
export interface Oracle {
  readonly undisturbed: Readonly<Record<DatabaseName, Fingerprint>>;
  /** Migrations that somebody else applied again on the way: their downs take effect once more. */
  readonly again: readonly number[];
}

export async function fingerprintOf(bench: Bench, database: string): Promise<Fingerprint> {
  return withClient(bench.postgres.url(database), (client) => readFingerprint(client, { ignore: ['migration_logs'] }));
}

const JOURNAL = `select s.migration, s.direction, count(*)::integer as times
  from pgunwind.step s where s.state in ('done', 'settled') group by 1, 2`;
const NOT_DONE = `select s.run, s.seq, s.migration, s.state from pgunwind.step s where s.state not in ('done', 'settled')`;
/** Of the last run: one that was aborted in the middle leaves its own behind, and the next one's goes on with the data. */
const DATA_NOT_DONE = `select d.run, d.id, d.cursor, d.batches from pgunwind.data_step d join pgunwind.run r using (run)
  where d.state <> 'done' and r.state = 'completed'`;
const OPEN_RUNS = `select r.run, r.state from pgunwind.run r where r.ended_at is null`;
const LEFT = `select a.application_name as who, a.state, a.pid, left(a.query, 120) as query from pg_stat_activity a
  where a.datname = current_database() and (a.application_name like 'pgu:%' or a.xact_start is not null and a.application_name = 'pg-unwind')
  union all select 'advisory lock', l.mode, l.pid, l.classid || '/' || l.objid from pg_locks l
    join pg_database d on d.oid = l.database and d.datname = current_database() where l.locktype = 'advisory'`;

export async function problemsOf(
  bench: Bench,
  databases: InstanceDatabases,
  { undisturbed, again }: Oracle,
): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const name of DATABASES) {
    const url = bench.url(databases[name]);
    const say = (what: string) => problems.push(`${name}: ${what}`);

    const witnessed = await queryAt<{ what: string }>(
      url,
      `select coalesce(command, step || '/' || part) as what from witness order by 1`,
    );
    const found = witnessed.map(({ what }) => what);
    const expected = [...WITNESSED[name], ...(name === 'frontend' ? again.flatMap(partsOf) : [])];
    const cures = /^DROP INDEX letters_weight$|^CREATE INDEX parcels_note$|_ccn(ew|old)/; // a broken build is dropped before it is made again
    if (sorted(found.filter((it) => !cures.test(it))) !== sorted(expected.filter((it) => !cures.test(it)))) {
      say(`effects ${found.join(' ')}; expected ${expected.join(' ')}`);
    }

    const fingerprint = await fingerprintOf(bench, databases[name]);
    const differences = diffFingerprints(undisturbed[name], fingerprint).map(describeDifference);
    if (differences.length > 0) say(`schema: ${differences.join('; ')}`);

    const ledger = await queryAt<{ version: number }>(
      url,
      `select version from (select distinct on (version) version, up, success from migration_logs where schema = $1 order by version, id desc) l
        where l.success and l.up or l.success is not true order by 1`,
      [LEDGER_KEYS[name]],
    );
    if (ledger.map(({ version }) => version).join() !== '1')
      say(`ledger: applied ${ledger.map(({ version }) => version).join(', ')}`);

    const journal = await queryAt<{ migration: string; direction: string; times: number }>(url, JOURNAL);
    const wanted = name === 'frontend' ? [2, 3, 4, 5, 6, 7, 8, 9, 10, 11] : [2, 3];
    for (const id of wanted) {
      const rows = journal.filter(({ migration, direction }) => migration === String(id) && direction === 'down');
      const times = rows.reduce((sum, row) => sum + row.times, 0);
      const should = 1 + (name === 'frontend' ? again.filter((it) => it === id).length : 0);
      if (times !== should) say(`journal: ${id} down recorded ${times} times instead of ${should}`);
    }
    for (const row of await queryAt(url, DATA_NOT_DONE))
      say(`journal: a data migration is not done: ${JSON.stringify(row)}`);
    for (const row of await queryAt(url, NOT_DONE)) say(`journal: a step is not done: ${JSON.stringify(row)}`);
    for (const row of await queryAt(url, OPEN_RUNS)) say(`journal: a run is open: ${JSON.stringify(row)}`);
    if (name === 'frontend') {
      const [marker] = await queryAt<{ version: string }>(url, 'select version from versions');
      if (marker?.version !== '1.0.0') say(`release marker: ${marker?.version ?? 'none'}`);
      const invalid = await queryAt<{ index: string }>(
        url,
        'select indexrelid::regclass::text as index from pg_index where not indisvalid',
      );
      if (invalid.length > 0) say(`invalid indexes: ${invalid.map(({ index }) => index).join(', ')}`);
    }
  }
  return problems;
}

/** Sessions, transactions and locks of ours that are still there. */
export async function leftOn(bench: Bench, databases: InstanceDatabases): Promise<readonly string[]> {
  const all = await Promise.all(DATABASES.map((name) => queryAt(bench.postgres.url(databases[name]), LEFT)));
  return all.flat().map((row) => JSON.stringify(row));
}

/** Of one more down of that migration. */
function partsOf(step: number): readonly string[] {
  const command = step === 8 ? 'CREATE INDEX letters_weight' : step === 7 ? 'DROP INDEX parcels_note' : null;
  return WITNESSED.frontend.filter((what) => what === command || what.startsWith(`${step}/`));
}

const sorted = (values: readonly string[]) => [...values].sort().join(' ');

/** The first thing that the journal recorded after the fault: from then on the downgrade goes forward again. */
export async function recoveredAt(bench: Bench, databases: InstanceDatabases, fault: number): Promise<number | null> {
  const moments = await Promise.all(
    DATABASES.map((name) =>
      queryAt<{ at: Date | null }>(
        bench.url(databases[name]),
        `select min(t.at) as at from (select finished_at from pgunwind.step where state = 'done' union all select batch_at from pgunwind.data_step union all select closed_at from pgunwind.leg) t (at)
          where t.at > to_timestamp($1)`,
        [fault / 1_000],
      ),
    ),
  );
  const times = moments.flatMap(([row]) => (row?.at ? [row.at.getTime()] : []));
  return times.length === 0 ? null : Math.min(...times);
}

async function evidence(site: Site, bench: Bench, instance: string): Promise<string> {
  const databases = site.instances[instance] as InstanceDatabases;
  const handle = site.client.workflow.getHandle(workflowIdOf(instance));
  const parts: unknown[] = [];
  const described = await handle.describe().catch((error: unknown) => error);
  parts.push((described as { raw?: unknown }).raw === undefined ? described : pendingOf(described));
  for (const name of DATABASES) {
    const url = bench.postgres.url(databases[name]);
    parts.push(
      await queryAt(
        url,
        `select seq, migration, state, unit, attempt, finished_at from pgunwind.step order by started_at desc limit 3`,
      ).catch(String),
      await queryAt(
        url,
        `select at, seq, attempt, sqlstate, message from pgunwind.failure order by id desc limit 3`,
      ).catch(String),
      await queryAt(
        url,
        `select pid, application_name, state, wait_event, left(query, 60) as query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      ).catch(String),
    );
  }
  return inspect(parts, { depth: 8, breakLength: 160 });
}

interface Described {
  readonly status: { readonly name: string };
  readonly raw: {
    readonly pendingActivities?:
      | readonly {
          activityId?: string | null;
          attempt?: number | null;
          state?: unknown;
          lastFailure?: { message?: string | null } | null;
        }[]
      | null;
  };
}

function pendingOf(described: unknown): unknown {
  const { status, raw } = described as Described;
  return {
    status: status.name,
    pending: raw.pendingActivities?.map(({ activityId, attempt, state, lastFailure }) => ({
      activityId,
      attempt,
      state,
      failure: lastFailure?.message,
    })),
  };
}
