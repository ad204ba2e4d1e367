import { setTimeout as pause } from 'node:timers/promises';
import { workflowIdOf, WorkflowType } from './product.mjs';

const LOOK_EVERY_MS = 10_000;
const WAITING_STATES = new Set(['needsOperator', 'awaitingApproval']);

/**
 * The engine with Temporal: started as the CLI does, with consent to its very plan.
 * @returns what a user waits for, from the start to the result, and what it left in the history.
 */
export async function runWorkflow({ client, taskQueue, instance, to, plan }) {
  const began = performance.now();
  const handle = await startWorkflow({ client, taskQueue, instance, to, plan });
  await untilEnded(handle);
  const ms = performance.now() - began;
  return { ms, ...(await measureHistory(client, handle)) };
}

export function startWorkflow({ client, taskQueue, instance, to, plan }) {
  return client.workflow.start(WorkflowType.downgrade, {
    taskQueue,
    workflowId: workflowIdOf(instance),
    args: [{ instance, to, acceptDataLoss: plan.id }],
  });
}

/** @throws when the run waits for an operator: nobody would come. */
export async function untilEnded(handle) {
  const ended = new AbortController();
  try {
    return await Promise.race([handle.result(), untilParked(handle, ended.signal)]);
  } finally {
    ended.abort();
  }
}

async function untilParked(handle, signal) {
  for (;;) {
    await pause(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const status = await handle.query('status').catch(() => null);
    if (!WAITING_STATES.has(status?.state)) continue;
    throw new Error(`${handle.workflowId} is ${status.state}: ${JSON.stringify(status.parked)}`);
  }
}

/** Over all runs of the chain: continue-as-new begins another one. */
async function measureHistory(client, { workflowId, firstExecutionRunId }) {
  let events = 0;
  let bytes = 0;
  for (let runId = firstExecutionRunId; runId;) {
    const handle = client.workflow.getHandle(workflowId, runId);
    const { historyLength, historySize } = await handle.describe();
    events += historyLength;
    bytes += historySize ?? 0;
    const { events: history } = await handle.fetchHistory();
    runId = history.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? null;
  }
  return { events, bytes };
}
