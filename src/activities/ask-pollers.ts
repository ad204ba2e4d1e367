import { Context } from '@temporalio/activity';
import type { Activities } from '../contract/activities.js';

const TASK_QUEUE_TYPE_ACTIVITY = 2;

/** Asks over the worker's own connection; the server forgets a poller five minutes after its last poll. */
export function createAskPollers(): Activities['askPollers'] {
  return async ({ taskQueue }) => {
    const { client, info } = Context.current();
    const answer = await client.connection.workflowService.describeTaskQueue({
      namespace: info.namespace,
      taskQueue: { name: taskQueue },
      taskQueueType: TASK_QUEUE_TYPE_ACTIVITY,
    });
    return {
      pollers: (answer.pollers ?? []).map(({ identity, lastAccessTime }) => ({
        identity: identity ?? '',
        secondsAgo: Math.max(0, Math.round(Date.now() / 1_000 - Number(lastAccessTime?.seconds ?? 0))),
      })),
    };
  };
}
