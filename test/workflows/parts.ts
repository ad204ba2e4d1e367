import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';

export type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;

/** All parts of a run, in their order. */
export async function partsOf({ workflowId, client }: WorkflowHandle, first: string): Promise<History[]> {
  const parts: History[] = [];
  for (let runId: string | null | undefined = first; runId;) {
    const history: History = await client.getHandle(workflowId, runId).fetchHistory();
    parts.push(history);
    runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
  }
  return parts;
}
export const firstRunOf = (handle: WorkflowHandle) =>
  (handle as WorkflowHandleWithFirstExecutionRunId).firstExecutionRunId;
