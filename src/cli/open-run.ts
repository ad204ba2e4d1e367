import type { Client, WorkflowHandle } from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';

/** The run that is open now, as it was started; Temporal knows this without a worker. */
export interface OpenRun {
  readonly type: string;
  readonly workflowId: string;
  readonly runId: string;
  readonly startTime: Date;
  /** Null where it is not an object: started by hand, and about to fail with InvalidInput. */
  readonly input: Readonly<Record<string, unknown>> | null;
}

/** @returns null when it has ended. */
export async function findOpenRun(client: Client, namespace: string, handle: WorkflowHandle): Promise<OpenRun | null> {
  const { status, type, workflowId, runId, startTime } = await handle.describe();
  if (status.name !== 'RUNNING') return null;
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1, // the first event has the input
  });
  const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
  const [input] = await decodeArrayFromPayloads(client.options.loadedDataConverter, payloads);
  return { type, workflowId, runId, startTime, input: isRecord(input) ? input : null };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
