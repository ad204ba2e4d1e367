import type { Direction } from '../../../src/contract/plan.js';

/** What a migration's scripts are like, both of them; scripts.ts has the texts. */
export const KINDS = [
  'atomic', // DDL and rows in one transaction
  'guarded', // the same with a savepoint, an exception block and a temporary table
  'segmented', // COMMIT AND CHAIN, or COMMIT; BEGIN
  'index', // CREATE INDEX CONCURRENTLY up, DROP INDEX CONCURRENTLY down
  'mixed', // DROP INDEX CONCURRENTLY between two transactions
  'reindex', // REINDEX CONCURRENTLY between two transactions
  'detach', // DETACH PARTITION CONCURRENTLY before a transaction
  'empty', // no statement
  'bound', // segments that share a temporary table: parks when it dies in the middle
  'opaque', // a DO block that commits: the same
] as const;
export type Kind = (typeof KINDS)[number];

export interface Migration {
  readonly id: number;
  readonly parents: readonly number[];
  readonly kind: Kind;
  /** The first release that has it, counted from 0. */
  readonly release: number;
  readonly segments: number;
  readonly sleepMs: number;
  /** Chooses among the ways to write the same. */
  readonly variant: number;
}

export interface Database {
  readonly name: string;
  /** In an order in which they can be applied; the first is the root. */
  readonly migrations: readonly Migration[];
}

/** Words in the SQL of messages that matter; the answer to `begin_step` is that of its commit. */
export const MESSAGES = [
  'begin_step',
  'resume_step',
  'concurrently',
  'pieces.write-intent',
  'end_step',
  'pgunwind.check',
  'claim.claim',
  'close_leg',
  'plans.store',
  'runs.insert',
  'runs.end',
  'runs.yield-claim',
] as const;

/** A fact that can be seen from outside, and when after it a fault comes. */
export type Trigger =
  | { readonly kind: 'after'; readonly ms: number }
  /** That step of the plan is at work on the server; a statement that refuses a transaction is kept from ending meanwhile. */
  | { readonly kind: 'in'; readonly database: number; readonly step: number; readonly ms: number }
  /** Of that database's steps so many hundredths are done. */
  | { readonly kind: 'done'; readonly database: number; readonly percent: number; readonly ms: number };

export type Fault =
  | { readonly kind: 'endSessions'; readonly which: 'step' | 'all' }
  | { readonly kind: 'cancelStatement' }
  | { readonly kind: 'restartWorker' }
  | { readonly kind: 'killWorker' }
  | { readonly kind: 'freezeWorker'; readonly ms: number }
  | { readonly kind: 'terminateRun' }
  | { readonly kind: 'cancelRun' }
  | { readonly kind: 'abortRun' }
  | { readonly kind: 'resetRun'; readonly event: number }
  | { readonly kind: 'rivalRun' }
  | { readonly kind: 'productLock'; readonly database: number; readonly ms: number }
  /** All connections to the databases: cut once, refused or stalled for that long, or silent for good. */
  | { readonly kind: 'network'; readonly how: 'cut' | 'refuse' | 'stall' | 'silence'; readonly ms: number }
  /** The same between a worker process and Temporal. */
  | { readonly kind: 'temporalNetwork'; readonly ms: number }
  /** At one message of the wire protocol: on its way to the server, or the answer on its way back. */
  | {
      readonly kind: 'message';
      readonly database: number;
      readonly about: (typeof MESSAGES)[number];
      readonly side: 'client' | 'server';
      readonly act: 'drop' | 'delay' | 'killWorker';
      readonly ms: number;
    }
  | { readonly kind: 'tableLock'; readonly database: number; readonly ms: number; readonly exclusive: boolean };
export type FaultKind = Fault['kind'];

export interface ScheduledFault {
  readonly when: Trigger;
  readonly fault: Fault;
}

export interface Case {
  readonly direction: Direction;
  readonly databases: readonly Database[];
  readonly releases: number;
  /** Where the instance stands: that release, and so many migrations of the next one in each database. */
  readonly start: number;
  readonly ahead: number;
  readonly target: number;
  /** In processes of their own, which can be killed and frozen, or in this one. */
  readonly workers: 'processes' | 'inside';
  /** How the loss of content is consented to. */
  readonly consent: 'input' | 'update';
  readonly faults: readonly ScheduledFault[];
}

export const labelOf = (release: number) => `v${release + 1}.0.0`;

/** The ids that a release holds in a database: by construction an id set with all its ancestors. */
export function idsOf(database: Database, release: number): number[] {
  return database.migrations.filter((migration) => migration.release <= release).map(({ id }) => id);
}

/** The ids that are applied before the run. */
export function appliedAtStart({ start, ahead, direction, target }: Case, database: Database): number[] {
  const last = direction === 'down' ? Infinity : target;
  const next = database.migrations.filter(({ release }) => release === start + 1 && release <= last);
  return [...idsOf(database, start), ...next.slice(0, ahead).map(({ id }) => id)];
}

/** The migrations that the run carries out in a database, in no particular order. */
export function stepsOf(test: Case, database: Database): Migration[] {
  const [applied, target] = [new Set(appliedAtStart(test, database)), new Set(idsOf(database, test.target))];
  return database.migrations.filter(({ id }) => applied.has(id) !== target.has(id));
}

/** The case as a person reads it. */
export function describeCase(test: Case): string {
  const lines = [
    `${test.direction} from ${labelOf(test.start)}${test.ahead > 0 ? ` and ${test.ahead} more` : ''} to ${labelOf(test.target)}` +
      ` of ${test.releases} releases; workers: ${test.workers}; consent: ${test.consent}`,
  ];
  for (const database of test.databases) {
    const steps = new Set(stepsOf(test, database).map(({ id }) => id));
    lines.push(`  ${database.name}:`);
    for (const each of database.migrations) {
      lines.push(
        `    ${steps.has(each.id) ? '*' : ' '} ${each.id} ${each.kind} in ${labelOf(each.release)}, parents [${each.parents.join(', ')}], ` +
          `segments ${each.segments}, sleeps ${each.sleepMs} ms, variant ${each.variant}`,
      );
    }
  }
  for (const { when, fault } of test.faults) lines.push(`  ${JSON.stringify(when)} → ${JSON.stringify(fault)}`);
  return lines.join('\n');
}
