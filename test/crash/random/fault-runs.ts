import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Stage } from './stage.js';

/** false: it has ended already. */
export async function told(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

export async function reset({ context, control }: Stage, event: number): Promise<boolean> {
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
export async function rival({ context, control }: Stage): Promise<boolean> {
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
