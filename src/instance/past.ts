import type { DatabaseName } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { readRuns, type RecordedDecision, type RunRecord } from '../journal/history.js';
import { readLog, type LogOrder, type LogRecord } from '../journal/log.js';
import { readMeta } from '../journal/missing.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import type { InstanceDatabase } from '../step/database.js';
import type { OpenInstance } from './instances.js';

/** A run of the instance, over its databases. */
export interface PastRun extends RunRecord {
  /** What each database's journal says by itself. */
  readonly databases: Readonly<Record<DatabaseName, Pick<RunRecord, 'state' | 'endedAt' | 'stepsDone' | 'stepsTotal'>>>;
}

/** `database` is null for what all journals hold alike. */
export type PastEntry = LogRecord & { readonly database: DatabaseName | null };

/** What could be read, and which databases could not be asked. */
export interface Past<T> {
  readonly entries: readonly T[];
  readonly unread: Readonly<Record<DatabaseName, string>>;
}

/** The runs of an instance, newest first, each once. */
export async function pastRuns(instance: OpenInstance, last: number): Promise<Past<PastRun>> {
  const { read, unread } = await readAll(instance.databases, (database) =>
    database.sessions.withSession(async ({ client }) =>
      (await hasJournal(client)) ? readRuns(client, instance.config.name, last) : [],
    ),
  );
  return { entries: mergeRuns(read).slice(0, last), unread };
}

/** What happened, oldest first. */
export async function pastLog(
  instance: OpenInstance,
  { database: only, ...order }: Omit<LogOrder, 'instance'> & { readonly database: DatabaseName | null },
): Promise<Past<PastEntry>> {
  const databases = only === null ? instance.databases : [instance.database(only)];
  const { read, unread } = await readAll(databases, (database) =>
    database.sessions.withSession(async ({ client }) =>
      (await hasJournal(client)) ? readLog(client, { ...order, instance: instance.config.name }) : [],
    ),
  );
  return { entries: mergeLog(read).slice(-order.last), unread };
}

type PerDatabase<T> = readonly (readonly [DatabaseName, readonly T[]])[];

/** A database that cannot be reached does not hide the others; when none can be, its failure is the answer. */
async function readAll<T>(
  databases: readonly InstanceDatabase[],
  ask: (database: InstanceDatabase) => Promise<readonly T[]>,
): Promise<{ readonly read: PerDatabase<T>; readonly unread: Readonly<Record<DatabaseName, string>> }> {
  const answers = await Promise.allSettled(
    databases.map((database) =>
      ask(database).catch((error: unknown) => {
        throw sqlstateOf(error) === '42501' ? mayNotRead(database.name) : error;
      }),
    ),
  );
  const read: [DatabaseName, readonly T[]][] = [];
  const unread: [DatabaseName, string][] = [];
  answers.forEach((answer, at) => {
    const name = databases[at]?.name ?? '';
    if (answer.status === 'fulfilled') read.push([name, answer.value]);
    else unread.push([name, answer.reason instanceof Error ? answer.reason.message : String(answer.reason)]);
  });
  const [first] = answers;
  if (read.length === 0 && first?.status === 'rejected') throw first.reason;
  return { read, unread: Object.fromEntries(unread) };
}

function mayNotRead(database: DatabaseName): UnwindError {
  return new UnwindError(
    FailureType.InsufficientPrivileges,
    `The role of this connection may not read the journal of "${database}" (SQLSTATE 42501). Nothing was changed. Connect as the role ` +
      'that migrates; or, as that one: grant usage on schema pgunwind and select on all tables in it.',
  );
}

/** Where nothing was ever planned there is nothing to tell. */
async function hasJournal(client: Parameters<typeof readMeta>[0]): Promise<boolean> {
  return (await readMeta(client)).version !== null;
}

export function mergeRuns(read: PerDatabase<RunRecord>): PastRun[] {
  const byRun = new Map<string, [DatabaseName, RunRecord][]>();
  for (const [database, runs] of read) {
    for (const run of runs) byRun.set(run.run, [...(byRun.get(run.run) ?? []), [database, run]]);
  }
  return [...byRun.values()].map((parts) => mergedRun(parts)).sort((a, b) => (a.plannedAt < b.plannedAt ? 1 : -1));
}

/** What is worth a word first: databases end a run one after the other, and one of them may have been out of reach. */
const GRAVEST = ['open', 'superseded', 'cancelled', 'aborted', 'completed'] as const;

function mergedRun(parts: readonly [DatabaseName, RunRecord][]): PastRun {
  const runs = parts.map(([, run]) => run);
  const [first] = runs as [RunRecord, ...RunRecord[]];
  const ends = runs.flatMap(({ endedAt }) => (endedAt === null ? [] : [endedAt])).sort();
  const claims = runs.flatMap(({ claimedAt }) => (claimedAt === null ? [] : [claimedAt])).sort();
  return {
    ...first,
    state: GRAVEST.find((state) => runs.some((run) => run.state === state)) ?? first.state,
    plannedAt: runs.map(({ plannedAt }) => plannedAt).sort()[0] ?? first.plannedAt,
    claimedAt: claims[0] ?? null,
    endedAt: ends.length < runs.length ? null : (ends.at(-1) ?? null),
    stepsDone: runs.reduce((sum, { stepsDone }) => sum + stepsDone, 0),
    stepsTotal: runs.reduce((sum, { stepsTotal }) => sum + stepsTotal, 0),
    decisions: mergeDecisions(runs),
    databases: Object.fromEntries(
      parts.map(([name, { state, endedAt, stepsDone, stepsTotal }]) => [
        name,
        { state, endedAt, stepsDone, stepsTotal },
      ]),
    ),
  };
}

/** A decision is written into every journal that can be reached, with the workflow's own moment. */
function mergeDecisions(runs: readonly RunRecord[]): RecordedDecision[] {
  const all = runs.flatMap(({ decisions }) => decisions.map((it) => [`${it.at} ${it.kind}`, it] as const));
  return [...new Map(all).values()].sort((a, b) => (a.at < b.at ? -1 : 1));
}

export function mergeLog(read: PerDatabase<LogRecord>): PastEntry[] {
  const decided = new Set<string>();
  return read
    .flatMap(([database, entries]) =>
      [...entries].reverse().map((entry): PastEntry => ({
        ...entry,
        database: entry.kind === 'decision' && read.length > 1 ? null : database,
      })),
    )
    .filter((entry) => {
      if (entry.kind !== 'decision') return true;
      const key = `${entry.run} ${entry.at} ${entry.facts.decision}`;
      return !decided.has(key) && decided.add(key);
    })
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)); // stable: of one database in the order of its journal
}
