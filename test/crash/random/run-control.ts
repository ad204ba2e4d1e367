import { setTimeout as pause } from 'node:timers/promises';
import {
  WorkflowNotFoundError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type WorkflowHandle,
} from '@temporalio/client';
import { QueryName, UpdateName, type StatusReport } from '../../../src/contract/messages.js';
import { labelOf } from './case.js';
import type { CaseContext } from './context.js';
import { INSTANCE } from './product.js';

/** The one run of a case: whichever execution has its workflow id now. */
export interface RunControl {
  readonly handle: WorkflowHandle;
  start(workflowId?: string): Promise<WorkflowHandle>;
  /** null: it is open. */
  ending(handle?: WorkflowHandle): Promise<string | null>;
  untilEnded(handle?: WorkflowHandle, within?: number): Promise<string>;
  /** null: nobody answered in time. */
  status(handle?: WorkflowHandle): Promise<StatusReport | null>;
  /** false: it did not take it, because it has ended or nothing is parked any more. */
  update(name: keyof typeof UpdateName, input: unknown, handle?: WorkflowHandle): Promise<boolean>;
  /**
   * Whoever starts, ends or resets the run says so: the operator looks away meanwhile. One after the other: of two at once, the one
   * would wait for the end of the run that the other has just started.
   */
  changing<T>(work: () => Promise<T>): Promise<T>;
  readonly changes: () => { readonly now: number; readonly ever: number };
}

/** A question to a run without a worker would wait for ten seconds. */
const ANSWER_MS = 3_000;

export function controlRun(context: CaseContext, consent: () => string | null): RunControl {
  const {
    workflowId,
    taskQueue,
    test,
    temporal: { client },
  } = context;
  const mine = client.workflow.getHandle(workflowId);
  let [now, ever] = [0, 0];
  let turn: Promise<unknown> = Promise.resolve();
  const soon = <T>(work: () => Promise<T>) => client.withDeadline(Date.now() + ANSWER_MS, work);
  const control: RunControl = {
    handle: mine,
    async start(id = workflowId) {
      const plan = consent();
      const input = {
        instance: INSTANCE,
        to: labelOf(test.target),
        by: 'the search',
        ...(plan === null ? {} : { acceptDataLoss: plan }),
      };
      return client.workflow.start(test.direction === 'down' ? 'downgrade' : 'upgrade', {
        taskQueue,
        workflowId: id,
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
        args: [input],
      });
    },
    async ending(handle = mine) {
      const { status } = await handle.describe();
      return status.name === 'RUNNING' ? null : status.name;
    },
    async untilEnded(handle = mine, within = 90_000) {
      const deadline = performance.now() + within;
      for (;;) {
        const ending = await control.ending(handle);
        if (ending !== null) return ending;
        if (performance.now() > deadline) throw new Error(`${handle.workflowId} did not end within ${within} ms`);
        await pause(50);
      }
    },
    status: (handle = mine) => soon(() => handle.query<StatusReport>(QueryName.status)).catch(() => null),
    async update(name, input, handle = mine) {
      try {
        await client.withDeadline(Date.now() + 30_000, () =>
          handle.executeUpdate<StatusReport, [unknown]>(UpdateName[name], { args: [input] }),
        );
        return true;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        // Not answered in time (it is being recorded in a database that is silent): asked again at the next look.
        if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return false;
        const open = (await control.ending(handle)) === null;
        // Its validator says so where there is nothing to answer any more.
        if (open && !(error instanceof Error && error.name === 'WorkflowUpdateFailedError')) throw error;
        return false;
      }
    },
    async changing(work) {
      now += 1;
      ever += 1;
      const mine = turn.then(work);
      turn = mine.catch(() => undefined);
      try {
        return await mine;
      } finally {
        now -= 1;
      }
    },
    changes: () => ({ now, ever }),
  };
  return control;
}
