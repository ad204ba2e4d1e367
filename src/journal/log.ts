import { readFileSync } from 'node:fs';
import type pg from 'pg';
import type { Direction, PlanId } from '../contract/plan.js';

const ENTRIES = readFileSync(new URL('./log.sql', import.meta.url), 'utf8');

/** What each kind of entry tells; log.sql makes them. */
export interface LogFacts {
  readonly planned: { direction: Direction; target: string; plan: PlanId };
  readonly claimed: { workflowId: string; namespace: string };
  readonly ended: { state: string };
  readonly step: {
    migration: string;
    name: string | null;
    direction: Direction;
    execution: string;
    state: 'started' | 'done' | 'settled';
    attempt: number;
    how: string | null;
    /** Null: it has not ended. */
    ms: number | null;
    notices: number;
  };
  readonly data: {
    data: string;
    act: string;
    state: 'started' | 'done';
    attempt: number;
    rows: number;
    batches: number;
    progress: number | null;
    ms: number | null;
  };
  /** `leg` is 0-based. */
  readonly release: { leg: number; release: string };
  readonly hook: { hook: string; answer: string };
  readonly decision: { decision: string; by: string | null; why: string | null; details: unknown };
  /** `message` and `detail` are the server's own words, and may hold row values. */
  readonly failure: {
    migration: string | null;
    name: string | null;
    attempt: number;
    sqlstate: string | null;
    statement: number | null;
    message: string;
    detail: string | null;
  };
  readonly dataFailure: {
    data: string;
    attempt: number;
    sqlstate: string | null;
    size: number;
    message: string;
    detail: string | null;
  };
  readonly endedSession: {
    policy: string;
    pid: number;
    application: string | null;
    user: string | null;
    client: string | null;
    sessionState: string | null;
  };
  readonly restorePoint: { lsn: string; timeline: number; name: string | null };
}

/** One thing that happened, as a journal holds it. */
export type LogRecord = {
  readonly [Kind in keyof LogFacts]: {
    /** ISO 8601, by that server's clock; of a decision, by the workflow's. */
    readonly at: string;
    readonly kind: Kind;
    readonly run: string;
    readonly seq: number | null;
    readonly facts: Readonly<LogFacts[Kind]>;
  };
}[keyof LogFacts];

export interface LogOrder {
  readonly instance: string;
  /** Id of a run, or how it begins; null: all runs of the instance. */
  readonly run: string | null;
  readonly failuresOnly: boolean;
  readonly last: number;
}

/** The newest entries, newest first. */
export async function readLog(
  client: pg.ClientBase,
  { instance, run, failuresOnly, last }: LogOrder,
): Promise<readonly LogRecord[]> {
  const { rows } = await client.query<{ at: Date }>(ENTRIES, [instance, run, failuresOnly, last]);
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }) as unknown as LogRecord); // log.sql makes exactly these shapes
}
