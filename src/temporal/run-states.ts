import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { SearchAttribute } from '../contract/search-attributes.js';

/** Half of what an alert waits for at least; each costs the server one list. */
const EVERY_MS = 15_000;
/** An alert needs no more than that there are some. */
const MOST_RUNS = 1_000;

export interface RunStates {
  readonly client: Client;
  readonly taskQueue: string;
  readonly log: Logger;
  readonly everyMs?: number;
  /** 0: there is none any more. */
  readonly tell: (instance: string, state: string, count: number) => void;
}

/**
 * Counts the running runs of the task queue by instance and state, again and again: what a worker has done says nothing about a run that
 * another one has parked, or that waits since before the worker was started. Asks Temporal's list, so runs know nothing of it.
 * @returns what ends it.
 */
export function watchRunStates({ client, taskQueue, log, everyMs = EVERY_MS, tell }: RunStates): () => void {
  const query = `TaskQueue = '${taskQueue.replaceAll("'", "''")}' and ExecutionStatus = 'Running' and ${SearchAttribute.state.name} is not null`;
  let seen = new Map<string, number>();
  let over = false;
  let timer: NodeJS.Timeout | null = null;
  const look = async () => {
    try {
      const found = await countRuns(client, query);
      if (over) return;
      for (const key of seen.keys()) if (!found.has(key)) tell(...placeOf(key), 0);
      for (const [key, count] of found) tell(...placeOf(key), count);
      seen = found;
    } catch (error) {
      log.debug({ err: error }, 'the running runs could not be listed'); // the last figures stay
    }
    if (!over) timer = setTimeout(() => void look(), everyMs).unref();
  };
  void look();
  return () => {
    over = true;
    if (timer !== null) clearTimeout(timer);
  };
}

/** By instance and state, with a blank between: neither has one. */
async function countRuns(client: Client, query: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  let read = 0;
  for await (const { workflowId, typedSearchAttributes } of client.workflow.list({ query, pageSize: MOST_RUNS })) {
    const [, instance] = /^unwind\/([^/]+)/.exec(workflowId) ?? [];
    const state = typedSearchAttributes.get(SearchAttribute.state);
    if (instance !== undefined && state !== undefined) {
      const key = `${instance} ${state}`;
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    if (++read >= MOST_RUNS) break;
  }
  return found;
}

function placeOf(key: string): [instance: string, state: string] {
  const [instance = '', state = ''] = key.split(' ');
  return [instance, state];
}
