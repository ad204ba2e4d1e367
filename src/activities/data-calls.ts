import { setTimeout as pause } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { ConnectionReference } from '../config/reference.js';
import type { Activities } from '../contract/activities.js';
import type { ConnectionHint, RunDataMigrationInput } from '../contract/data-activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { beginCalls, endCalls, noteAnswer, noteFailure } from '../data/calls.js';
import { DATA_LIMITS, type DataContext } from '../data/order.js';
import type { ActivityDeps } from './deps.js';
import { beating } from './heartbeat.js';
import { createDataMetrics } from './metrics.js';
import { limitsOf } from './run-data-migration.js';

type DataCalls = Pick<Activities, 'beginDataCalls' | 'noteDataCall' | 'noteDataFailure' | 'endDataCalls'>;

/** What stands around the calls of a handler that is an activity of the product's own. */
export function createDataCalls({ instances, plans, log }: ActivityDeps): DataCalls {
  async function place(input: RunDataMigrationInput) {
    const { run, leg, id, token, plan } = input;
    const opened = instances.open(input.instance);
    const database = opened.database(input.database);
    await database.prepare();
    const { step } = await plans.data(database, plan, leg, id);
    if (step.handler.kind !== 'activity') throw withoutActivity(database.name, id);
    const order = {
      run,
      leg,
      id,
      token,
      database: database.name,
      act: step.act,
      attempt: Context.current().info.attempt,
    };
    return {
      opened,
      database,
      order,
      handler: step.handler,
      limits: limitsOf(opened.config.options.data, input.options),
    };
  }

  return {
    beginDataCalls: (input) =>
      beating('beginning a data migration', async (tell) => {
        const { opened, database, order, handler, limits } = await place(input);
        const beginning = await beginCalls(database, order, contextOf(tell, limits));
        if (beginning.kind === 'done') return beginning.outcome;
        const { firstRows, stallBatches } = { ...DATA_LIMITS, ...limits };
        const { url } = opened.config.databases[database.name] ?? { url: { kind: 'url', url: '' } as const };
        return {
          how: 'begun',
          handler,
          direction: order.act === 'forward' ? 'forward' : 'reverse',
          connection: hintOf(url),
          batchSize: firstRows,
          stallCalls: stallBatches,
          position: beginning.position,
          progress: beginning.progress,
        };
      }),
    noteDataCall: (input) =>
      beating('noting what a call has done', async (tell) => {
        const { database, order, handler, limits } = await place(input);
        const { cursor, rowsDone, progress, batchesBefore } = input;
        const call = { own: handler.exactlyOnce, batchesBefore, cursor, rows: rowsDone, progress };
        const position = await noteAnswer(database, order, call, contextOf(tell, limits));
        const { instance, id } = input;
        const metrics = createDataMetrics(Context.current(), { instance, database: database.name, id, act: order.act });
        metrics.rows(rowsDone);
        if (progress !== null) metrics.progress(progress);
        return position;
      }),
    noteDataFailure: (input) =>
      beating('noting a failure', async () => {
        const { database, order } = await place(input);
        await noteFailure(database, order, input.batchSize, input.message);
      }),
    endDataCalls: (input) =>
      beating('closing a data migration', async () => {
        const { database, order } = await place(input);
        const outcome = await endCalls(database, order, input.progress);
        log.info(
          { instance: input.instance, run: input.run, database: database.name, data: input.id, ...outcome },
          `${database.name} data migration ${input.id} ${order.act}: ${outcome.rows} rows in ${outcome.batches} batches of the product's own, ` +
            `${Math.round(outcome.tookMs)} ms`,
        );
        return outcome;
      }),
  };
}

function contextOf(tell: (doing: string) => void, limits: DataContext['limits']): DataContext {
  const { cancellationSignal: signal } = Context.current();
  return {
    tell: ({ doing }) => tell(doing),
    pause: (ms) => pause(ms, undefined, { signal }),
    signal,
    ...(limits === undefined ? {} : { limits }),
  };
}

/** A literal URL stays where it stands, and so do a command's arguments, which may hold more than names. */
function hintOf(reference: ConnectionReference): ConnectionHint {
  switch (reference.kind) {
    case 'env':
    case 'file':
      return reference;
    case 'command':
    case 'url':
      return { kind: reference.kind };
    default:
      return reference satisfies never;
  }
}

function withoutActivity(database: string, id: string): UnwindError {
  return new UnwindError(
    FailureType.JournalIncomplete,
    `The plan's data migration ${id} on "${database}" has no activity as its handler. Nothing was changed. Abort this run and start again.`,
  );
}
