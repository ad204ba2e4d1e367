import { setTimeout as pause } from 'node:timers/promises';
import { sourcegraphLedger } from '../../../src/journal/ledgers/sourcegraph.js';
import type { Fault } from './case.js';
import { count } from './context.js';
import { atMessage, network } from './fault-network.js';
import { reset, rival, told } from './fault-runs.js';
import { hold, signal } from './fault-sessions.js';
import { moment } from './moments.js';
import { startAgain } from './operator.js';
import { ledgerOf } from './product.js';
import { standingAt, type Stage } from './stage.js';

/** Plays the schedule in its order. A fault whose moment never comes is not played. */
export async function playFaults(stage: Stage): Promise<void> {
  try {
    for (const { when, fault } of stage.context.test.faults) {
      const release = await moment(stage, when);
      try {
        if (stage.isOver()) return;
        stage.context.begun.add(fault.kind);
        if (await play(stage, fault)) count(stage.context.tally.faults, fault.kind);
      } finally {
        await release.played();
      }
    }
  } finally {
    await Promise.all(stage.beside);
  }
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
      return hold(stage, standing, `select pg_advisory_xact_lock(${classId}, ${objId})`, fault.ms);
    }
    case 'tableLock': {
      const mode = fault.exclusive ? 'access exclusive' : 'row exclusive';
      return hold(stage, standingAt(stage, fault.database), `lock table base in ${mode} mode`, fault.ms);
    }
    default:
      return fault satisfies never;
  }
}
