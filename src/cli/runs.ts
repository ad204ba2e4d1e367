import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import { workflowIdOf, type WorkflowType } from '../contract/ids.js';
import type { DataInput, UnwindInput } from '../contract/input.js';
import { QueryName, type StatusReport, type UnwindReport } from '../contract/messages.js';
import { figuresIn, type FiguresByActivity } from './data-figures.js';
import { CliFailure, CommandError, noWorker, workerFor, type RunQueue } from './failure.js';
import { findOpenRun, type OpenRun } from './open-run.js';
import { endOf, meantRun, noRun, refusal, unansweredBecause, type Meant } from './run-failures.js';

const QUERY_DEADLINE_MS = 3_000;
const UPDATE_DEADLINE_MS = 60_000;
/** A worker answers in some hundredths of a second. */
const UPDATE_PATIENCE_MS = 3_000;
const TEMPORAL_BACK = 'It goes on when that server is back.';
const RESULT_AGAIN_MS = 1_000;
const NEVER = new AbortController().signal;

/** What a status query comes to. `unanswered`: nobody polls, or nobody has answered yet. */
export type StatusAnswer =
  | { readonly kind: 'answered'; readonly status: StatusReport }
  /** `todo`: where a worker of this configuration would not help. */
  | { readonly kind: 'unanswered'; readonly why: string; readonly todo?: string };

/** The runs of the instances, as the shell command sees them in Temporal: the ways, or those of one data migration. */
export interface Runs {
  readonly taskQueue: string;
  readonly namespace: string;
  start(
    type: WorkflowType,
    input: UnwindInput | DataInput,
  ): Promise<{ readonly workflowId: string; readonly runId: string }>;
  handle(instance: string): WorkflowHandle;
  /** Null when none is open. */
  findOpen(instance: string): Promise<OpenRun | null>;
  describe(instance: string): Promise<WorkflowExecutionDescription>;
  /** Like `result`, it is given up when the signal comes: a call left behind is tried again on a closed connection, which throws where nobody catches. */
  status(instance: string, signal?: AbortSignal): Promise<StatusAnswer>;
  /** What the activities in progress tell of themselves; none where Temporal does not answer in time: they are for show. */
  figures(instance: string, signal?: AbortSignal): Promise<FiguresByActivity>;
  /** Waits for the end over continue-as-new. @throws UnwindError or CommandError RunStopped, as the run ended. */
  result(instance: string, signal?: AbortSignal): Promise<UnwindReport>;
  /**
   * @param unanswered - Told once, with the task queue, when no worker has answered for some seconds: the update is waited for
   *   on, for up to a minute.
   */
  update(instance: string, name: string, input: unknown, unanswered?: (queue: RunQueue) => void): Promise<StatusReport>;
  /** Pollers for workflow tasks that the server has seen in the last minutes. */
  pollers(): Promise<number>;
}

export interface RunsDeps {
  readonly client: Client;
  readonly namespace: string;
  readonly taskQueue: string;
  /** The id of the data migration whose own runs are meant, and not the ways of the instances. */
  readonly data?: string;
}

export function createRuns({ client, namespace, taskQueue, data }: RunsDeps): Runs {
  const meant = (instance: string) => meantRun(instance, data);
  const handle = (instance: string) => client.workflow.getHandle(meant(instance).workflowId);

  async function start(type: WorkflowType, input: UnwindInput | DataInput) {
    const { workflowId, words, operands } = meant(input.instance);
    if (data !== undefined) await refuseBesideWay(input.instance, data);
    try {
      const { firstExecutionRunId } = await client.workflow.start(type, {
        workflowId,
        taskQueue,
        args: [input],
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: `${type} ${input.instance} ${'to' in input ? `to ${input.to}` : `${input.id} ${input.direction}`}`,
      });
      return { workflowId, runId: firstExecutionRunId };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      throw new CommandError(
        CliFailure.AlreadyRunning,
        `A run of ${words} is open (${error.workflowId}), and there is one at a time. Nothing was started. ` +
          `Look at it with "pg-unwind status ${operands}", or end it with "pg-unwind abort ${operands}".`,
        { details: { workflowId: error.workflowId }, cause: error },
      );
    }
  }

  /** The workflow refuses it too; here the answer comes before anything is started. */
  async function refuseBesideWay(instance: string, id: string): Promise<void> {
    const way = client.workflow.getHandle(workflowIdOf(instance));
    const found = await way.describe().catch((error: unknown) => {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    });
    if (found?.status.name !== 'RUNNING') return;
    throw new CommandError(
      CliFailure.AlreadyRunning,
      `${instance} is being taken to another release (${way.workflowId}), which runs the data migrations that it needs. Data migration ${id} was ` +
        `not started. Look at that run with "pg-unwind status ${instance}", or end it with "pg-unwind abort ${instance}".`,
      { details: { workflowId: way.workflowId } },
    );
  }

  async function describe(instance: string): Promise<WorkflowExecutionDescription> {
    return orNoRun(meant(instance), namespace, () => handle(instance).describe());
  }

  /** Null: Temporal itself does not say. */
  async function queue(instance: string, signal = NEVER): Promise<RunQueue | null> {
    try {
      const { taskQueue: own } = await abortable(client, signal, () =>
        client.withDeadline(Date.now() + QUERY_DEADLINE_MS, () => handle(instance).describe()),
      );
      return { own, configured: taskQueue };
    } catch {
      return null;
    }
  }

  async function queueOrOurs(instance: string): Promise<RunQueue> {
    return (await queue(instance)) ?? { own: taskQueue, configured: taskQueue };
  }

  async function findOpen(instance: string): Promise<OpenRun | null> {
    return findOpenRun(client, namespace, handle(instance));
  }

  async function status(instance: string, signal = NEVER): Promise<StatusAnswer> {
    try {
      const answer = await abortable(client, signal, () =>
        client.withDeadline(Date.now() + QUERY_DEADLINE_MS, () =>
          handle(instance).query<StatusReport>(QueryName.status),
        ),
      );
      return { kind: 'answered', status: answer };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw noRun(meant(instance), namespace, error);
      const why = unansweredBecause(error);
      if (why === null) throw error;
      const asked = await queue(instance, signal);
      if (asked === null)
        return { kind: 'unanswered', why: 'the Temporal server does not answer', todo: TEMPORAL_BACK };
      if (asked.own === asked.configured) return { kind: 'unanswered', why };
      const todo = workerFor(asked, meant(instance).workflowId);
      return { kind: 'unanswered', why: `${why} (task queue "${asked.own}")`, todo };
    }
  }

  async function figures(instance: string, signal = NEVER): Promise<FiguresByActivity> {
    try {
      const described = await abortable(client, signal, () =>
        client.withDeadline(Date.now() + QUERY_DEADLINE_MS, () => handle(instance).describe()),
      );
      return await figuresIn(described, client.options.loadedDataConverter);
    } catch {
      return new Map();
    }
  }

  async function result(instance: string, signal = NEVER): Promise<UnwindReport> {
    for (;;) {
      try {
        const answer: unknown = await abortable(client, signal, () => handle(instance).result());
        return answer as UnwindReport; // the contract of both workflow types
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) throw noRun(meant(instance), namespace, error);
        if (error instanceof WorkflowFailedError) throw endOf(meant(instance), error);
        // Who watches outlives a Temporal server that is away for longer than the SDK's own patience, as the run does.
        if (signal === NEVER || signal.aborted || unansweredBecause(error) === null) throw error;
        await sleep(RESULT_AGAIN_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async function update(
    instance: string,
    name: string,
    input: unknown,
    unanswered: (queue: RunQueue) => void = () => undefined,
  ): Promise<StatusReport> {
    let over = false;
    const tell = (asked: RunQueue | null) => void (over || asked === null || unanswered(asked));
    const patience = setTimeout(() => void queue(instance).then(tell), UPDATE_PATIENCE_MS);
    try {
      return await orNoRun(meant(instance), namespace, () =>
        client.withDeadline(Date.now() + UPDATE_DEADLINE_MS, () =>
          handle(instance).executeUpdate<StatusReport, [unknown]>(name, { args: [input] }),
        ),
      );
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) throw refusal(meant(instance).words, name, error);
      if (unansweredBecause(error) !== null)
        throw noWorker(meant(instance).words, meant(instance).workflowId, await queueOrOurs(instance), error);
      throw error;
    } finally {
      over = true;
      clearTimeout(patience);
    }
  }

  async function pollers(): Promise<number> {
    const answer = await client.connection.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: taskQueue },
      taskQueueType: 1, // TASK_QUEUE_TYPE_WORKFLOW
    });
    return answer.pollers?.length ?? 0;
  }

  return Object.freeze({
    namespace,
    taskQueue,
    start,
    handle,
    findOpen,
    describe,
    status,
    figures,
    result,
    update,
    pollers,
  });
}

async function orNoRun<T>(run: Meant, namespace: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof WorkflowNotFoundError ? noRun(run, namespace, error) : error;
  }
}

/**
 * The SDK adds a listener to the signal for each request and takes none away: a signal that lives as long as a watch would
 * gather one for each poll. So each call has a signal of its own.
 */
async function abortable<T>(client: Client, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // a result is polled for, with a request each time
  const stop = () => controller.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await client.withAbortSignal(controller.signal, work);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
