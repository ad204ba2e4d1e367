import { setTimeout as pause } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Activities } from '../contract/activities.js';
import type { DataBeat, DataOutcome } from '../contract/data-activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { leaveData } from '../data/leave-data.js';
import { runData } from '../data/run-data.js';
import type { DataOptions } from '../config/schema.js';
import type { RunOptionsGiven } from '../contract/run-options.js';
import type { DataLimits } from '../data/order.js';
import type { ActivityDeps } from './deps.js';
import { createDataMetrics } from './metrics.js';

const HEARTBEAT_MS = 1_000;

/** Carries one data migration to its end: heartbeats with its figures, cancellation, one line in the log. */
export function createRunDataMigration({ instances, plans, log }: ActivityDeps): Activities['runDataMigration'] {
  return async (input) => {
    const { instance, run, plan, leg, id, token } = input;
    const context = Context.current();
    const { cancellationSignal: signal } = context;
    const opened = instances.open(instance);
    const database = opened.database(input.database);
    let last: DataBeat | { doing: string } = { doing: 'reading the journal' };
    const beat = () => context.heartbeat(last);
    const ticker = setInterval(beat, HEARTBEAT_MS);
    try {
      await database.prepare();
      const { step, queries } = await plans.data(database, plan, leg, id);
      const order = { run, leg, database: database.name, id, token, attempt: context.info.attempt };
      const waits = {
        tell: (now: DataBeat) => {
          const first = !('rows' in last);
          last = now;
          if (first) beat(); // a short one would be over before its figures were seen
        },
        pause: (ms: number) => pause(ms, undefined, { signal }),
        signal,
        limits: limitsOf(opened.config.options.data, input.options),
        metrics: createDataMetrics(context, { instance, database: database.name, id, act: step.act }),
      };
      const isLeft = step.act === 'leave' || step.act === 'lose';
      if (!isLeft && queries === null) throw withoutQueries(database.name, id);
      const outcome =
        isLeft || queries === null
          ? await leaveData(database, { ...order, act: step.act }, waits)
          : await runData(database, { ...order, act: step.act, queries }, waits);
      log.info(
        { instance, run, database: database.name, data: id, ...outcome },
        told(database.name, id, step.act, outcome),
      );
      return outcome;
    } finally {
      clearInterval(ticker);
    }
  };
}

/** @param given what the run was told, in place of the instance's. */
export function limitsOf(options: DataOptions, given: RunOptionsGiven['data'] = {}): Partial<DataLimits> {
  const told = given as Partial<DataOptions>; // as: it came as JSON, which has no undefined
  const { batchTargetMs, firstBatchRows, mostBatchRows, ...same } = { ...options, ...told };
  // A first batch that is larger than any later one may be would be the one that hurts.
  return {
    ...same,
    targetMs: batchTargetMs,
    firstRows: Math.min(firstBatchRows, mostBatchRows),
    mostRows: mostBatchRows,
  };
}

/** Planning refuses it (plan/handlers.ts); were it passed over here, the journal would call rows moved that nobody has touched. */
function withoutQueries(database: string, id: string): UnwindError {
  return new UnwindError(
    FailureType.ScriptRefused,
    `The data migration ${id} on "${database}" has no queries for this direction. Nothing was changed. Abort this run, give it "sql" in ` +
      'data-migrations.yaml, build the catalog again and start again.',
  );
}

function told(database: string, id: string, act: string, { how, rows, batches, tookMs }: DataOutcome): string {
  const what =
    how === 'left' ? 'left as it is' : how === 'foundDone' ? 'found done' : `${rows} rows in ${batches} batches`;
  return `${database} data migration ${id} ${act}: ${what}, ${Math.round(tookMs)} ms`;
}
