import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { sourcegraphLedger } from '../../../src/journal/ledgers/sourcegraph.js';
import { withClient } from '../../support/postgres.js';
import type { WireMessage } from '../../support/wire-message.js';
import { stepsOf, type Fault, type Trigger } from './case.js';
import { count, type CaseContext } from './context.js';
import { ledgerOf } from './product.js';
import { startAgain } from './operator.js';
import type { RunControl } from './run-control.js';
import type { Standing } from './start-state.js';
import type { Workers } from './workers.js';

export interface Stage {
  readonly context: CaseContext;
  readonly control: RunControl;
  readonly workers: Workers;
  /** The run has ended for good: what has not come yet does not come any more. */
  readonly isOver: () => boolean;
}

/** Plays the schedule in its order. A fault whose moment never comes is not played. */
export async function playFaults(stage: Stage): Promise<void> {
  for (const { when, fault } of stage.context.test.faults) {
    if (!(await moment(stage, when))) return;
    if (await play(stage, fault)) count(stage.context.tally.faults, fault.kind);
  }
}

/** false: the run ended before. */
async function moment(stage: Stage, when: Trigger): Promise<boolean> {
  if (when.kind === 'done') {
    const standing = standingAt(stage, when.database);
    const wanted = Math.ceil((stepsOf(stage.context.test, standing.model).length * when.percent) / 100);
    await withClient(standing.database.url, async (client) => {
      while (!stage.isOver()) {
        const { rows } = await client.query<{ journal: boolean }>(
          `select to_regclass('pgunwind.step') is not null as journal`,
        );
        if (rows[0]?.journal === true) {
          const done = await client.query<{ n: number }>(
            `select count(distinct migration)::integer as n from pgunwind.step where state <> 'started'`,
          );
          if ((done.rows[0]?.n ?? 0) >= wanted) return;
        }
        await pause(10);
      }
    });
  }
  await pause(when.ms);
  return !stage.isOver();
}

function standingAt({ context: { standings } }: Stage, database: number): Standing {
  return standings[database % standings.length] as Standing;
}

/** @returns whether there was something to do it to. */
async function play(stage: Stage, fault: Fault): Promise<boolean> {
  const { control, workers } = stage;
  switch (fault.kind) {
    case 'endSessions':
      return signal(stage, 'pg_terminate_backend', fault.which === 'all' ? ['pgu:%', 'pg-unwind'] : ['pgu:%']);
    case 'cancelStatement':
      return signal(stage, 'pg_cancel_backend', ['pgu:%']);
    case 'restartWorker':
      await workers.stop();
      await workers.start();
      return true;
    case 'killWorker':
      await workers.kill();
      await workers.start();
      return true;
    case 'freezeWorker': {
      const thaw = await workers.freeze();
      try {
        await workers.start();
        await pause(fault.ms);
      } finally {
        thaw();
      }
      return true;
    }
    case 'terminateRun':
      return control.changing(async () => {
        if (!(await told(() => control.handle.terminate('a fault of the search')))) return false;
        await control.start();
        return true;
      });
    case 'cancelRun':
      return control.changing(async () => {
        if ((await control.ending()) !== null || !(await told(() => control.handle.cancel()))) return false;
        if ((await control.untilEnded()) === 'COMPLETED') return false;
        await control.start();
        return true;
      });
    case 'abortRun':
      if ((await control.ending()) !== null) return false;
      await startAgain(control);
      return true;
    case 'resetRun':
      return control.changing(() => reset(stage, fault.event));
    case 'rivalRun':
      return rival(stage);
    case 'network':
      return network(stage, fault.how, fault.ms);
    case 'temporalNetwork': {
      const { temporalProxy } = stage.context;
      temporalProxy.refuse(true);
      temporalProxy.cut();
      await pause(fault.ms);
      temporalProxy.refuse(false);
      return true;
    }
    case 'message':
      return atMessage(stage, fault);
    case 'productLock': {
      const standing = standingAt(stage, fault.database);
      const { classId, objId } = sourcegraphLedger.lockKey(ledgerOf(standing.model));
      return hold(standing, `select pg_advisory_xact_lock(${classId}, ${objId})`, fault.ms);
    }
    case 'tableLock': {
      const mode = fault.exclusive ? 'access exclusive' : 'row exclusive';
      return hold(standingAt(stage, fault.database), `lock table base in ${mode} mode`, fault.ms);
    }
    default:
      return fault satisfies never;
  }
}

async function network({ context: { postgresProxy } }: Stage, how: 'cut' | 'refuse' | 'stall' | 'silence', ms: number) {
  switch (how) {
    case 'cut':
      postgresProxy.cut();
      return true;
    case 'silence':
      postgresProxy.silence();
      return true;
    case 'refuse':
      postgresProxy.refuse(true);
      postgresProxy.cut();
      await pause(ms);
      postgresProxy.refuse(false);
      return true;
    case 'stall':
      postgresProxy.stall(true);
      await pause(ms);
      postgresProxy.stall(false);
      return true;
    default:
      return how satisfies never;
  }
}

/** A message that a run seldom sends, or never again, is not waited for longer. */
const MESSAGE_WITHIN_MS = 4_000;

async function atMessage(stage: Stage, fault: Extract<Fault, { kind: 'message' }>): Promise<boolean> {
  const { about, side } = fault;
  const wanted = (message: WireMessage) => {
    if (message.side !== side) return false;
    if (side === 'client') return message.text.includes(about);
    if (message.type !== 'C' || !message.query.includes(about)) return false;
    return about === 'begin_step' || about === 'resume_step' ? message.text === 'COMMIT' : true;
  };
  const hold = stage.context.postgresProxy.hold({
    database: standingAt(stage, fault.database).database.name,
    when: wanted,
  });
  try {
    const deadline = performance.now() + MESSAGE_WITHIN_MS;
    while (!hold.isReached()) {
      if (stage.isOver() || performance.now() > deadline) return false;
      await pause(5);
    }
    // A process can be killed while it waits; a worker in here ends only when what it waits for has ended.
    const first = stage.context.test.workers === 'processes' && fault.then === 'killWorker';
    if (first) await stage.workers.kill();
    if (fault.then === 'delay') await pause(fault.ms);
    else hold.drop();
    if (fault.then === 'killWorker') {
      if (!first) await stage.workers.kill();
      await stage.workers.start();
    }
    return true;
  } finally {
    hold.release();
  }
}

/** Steps are short: waits a little for a session to be there. */
async function signal(stage: Stage, how: string, names: readonly string[]): Promise<boolean> {
  const text = `select ${how}(pid) from pg_stat_activity
     where datname = current_database() and application_name like any ($1) and pid <> pg_backend_pid()`;
  const hit = async ({ database }: Standing) =>
    withClient(database.superuserUrl, async (client) => {
      for (const deadline = performance.now() + 1_500; performance.now() < deadline && !stage.isOver();) {
        const { rowCount } = await client.query(text, [names]);
        if ((rowCount ?? 0) > 0) return true;
        await pause(3);
      }
      return false;
    });
  return (await Promise.all(stage.context.standings.map(hit))).includes(true);
}

/** A transaction of somebody else's: it takes what it wants, keeps it for that time and goes. */
async function hold({ database }: Standing, statement: string, ms: number): Promise<boolean> {
  return withClient(database.url, async (client) => {
    await client.query('set statement_timeout = 5000');
    try {
      await client.query('begin');
      await client.query(statement);
      await pause(ms);
      await client.query('rollback');
      return true;
    } catch {
      return false; // it never got it, or was the victim of a deadlock
    }
  });
}

/** false: it has ended already. */
async function told(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

async function reset({ context, control }: Stage, event: number): Promise<boolean> {
  const {
    workflowId,
    temporal: { client, namespace },
  } = context;
  const description = await control.handle.describe();
  if (description.status.name !== 'RUNNING') return false;
  const { events } = await control.handle.fetchHistory();
  const completed = (events ?? []).filter((each) => each.workflowTaskCompletedEventAttributes);
  const chosen = completed[event % Math.max(1, completed.length)];
  if (chosen === undefined) return false;
  await client.workflowService.resetWorkflowExecution({
    namespace,
    workflowExecution: { workflowId, runId: description.runId },
    reason: 'a fault of the search',
    requestId: randomUUID(),
    workflowTaskFinishEventId: chosen.eventId ?? null,
  });
  return true;
}

/** A second workflow on the same databases, with an id of its own: it must not get at them while ours is there. */
async function rival({ context, control }: Stage): Promise<boolean> {
  if ((await control.ending()) !== null) return false;
  const handle = await control.start(`rival/${context.workflowId}/${randomUUID().slice(0, 8)}`);
  const deadline = performance.now() + 3_000;
  while (performance.now() < deadline && (await control.ending(handle)) === null) {
    const state = (await control.status(handle))?.state;
    if (state === 'needsOperator' || state === 'awaitingApproval') break;
    await pause(50);
  }
  await control.update('abort', { by: 'the search' }, handle);
  await control.untilEnded(handle);
  return true;
}
