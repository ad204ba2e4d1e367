import { setTimeout as pause } from 'node:timers/promises';
import type { WireMessage } from '../../support/wire-message.js';
import type { Fault } from './case.js';
import { standingAt, type Stage } from './stage.js';

type How = Extract<Fault, { kind: 'network' }>['how'];

export async function network({ context: { postgresProxy } }: Stage, how: How, ms: number): Promise<boolean> {
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
const MESSAGE_WITHIN_MS = 6_000;

export async function atMessage(stage: Stage, fault: Extract<Fault, { kind: 'message' }>): Promise<boolean> {
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
    const first = stage.context.test.workers === 'processes' && fault.act === 'killWorker';
    if (first) await stage.workers.kill();
    if (fault.act === 'delay') await pause(fault.ms);
    else hold.drop();
    if (fault.act === 'killWorker') {
      if (!first) await stage.workers.kill();
      await stage.workers.start();
    }
    return true;
  } finally {
    hold.release();
  }
}
