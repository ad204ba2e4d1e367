import { randomUUID } from 'node:crypto';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import {
  DefaultLogger,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { dataWorkflowIdOf, workflowIdOf, type WorkflowType } from '../../src/contract/ids.js';
import { QueryName, type RunState, type StatusReport, type UnwindReport } from '../../src/contract/messages.js';
import { workflowBundle } from '../support/bundle.js';
import { until } from '../support/until.js';
import type { FakeInstance } from './fake-instance.js';

export interface Harness {
  readonly client: Client;
  start(instance: FakeInstance, options?: StartOptions): Promise<Started>;
  close(): Promise<void>;
}

export interface StartOptions {
  readonly type?: WorkflowType;
  /** In place of `{instance, to}`; null: no argument at all. */
  readonly args?: readonly unknown[];
  /** Added to `{instance, to}`. */
  readonly input?: Readonly<Record<string, unknown>>;
  readonly name?: string;
  /** What a person gave the run as its memo. */
  readonly memo?: Readonly<Record<string, unknown>>;
  readonly worker?: Partial<WorkerOptions>;
}

export interface Started {
  readonly handle: WorkflowHandle;
  readonly report: Promise<UnwindReport>;
  status(): Promise<StatusReport>;
  inState(state: RunState): Promise<StatusReport>;
  update(name: string, ...args: readonly unknown[]): Promise<StatusReport>;
}

// Of the process: a failing activity is no news where activities are told to fail.
let quietRuntime: Runtime | null = null;

/** A worker of its own per run, with its own task queue; all share the dev server and the bundle. */
export async function openHarness(server: { address: string; namespace: string }): Promise<Harness> {
  const { address, namespace } = server;
  quietRuntime ??= Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
  });
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  const client = new Client({ connection, namespace, identity: 'pg-unwind-test' });
  const workers: { worker: Worker; running: Promise<void> }[] = [];

  return {
    client,
    async start(instance, options = {}) {
      const asked = options.type === 'dataMigration' ? { id: '7', direction: 'reverse' } : { to: 'v5.0.0' };
      const name = options.name ?? `i-${randomUUID()}`;
      const taskQueue = `test-${randomUUID()}`;
      const worker = await Worker.create({
        connection: native,
        namespace,
        taskQueue,
        identity: 'pg-unwind-test',
        workflowBundle: await workflowBundle(),
        activities: instance.activities,
        maxHeartbeatThrottleInterval: '100ms',
        stickyQueueScheduleToStartTimeout: '500ms',
        ...options.worker,
      });
      workers.push({ worker, running: worker.run() });
      const handle = await client.workflow.start(options.type ?? 'downgrade', {
        taskQueue,
        workflowId: options.type === 'dataMigration' ? dataWorkflowIdOf(name, '7') : workflowIdOf(name),
        ...(options.memo === undefined ? {} : { memo: options.memo }),
        args: [...(options.args ?? [{ instance: name, ...asked, ...options.input }])],
      });
      const report = handle.result() as Promise<UnwindReport>;
      report.catch(() => undefined); // a test that expects a failure awaits it later
      const status = (): Promise<StatusReport> => handle.query<StatusReport>(QueryName.status);
      return {
        handle,
        report,
        status,
        inState: async (state) => {
          let seen: StatusReport | null = null;
          await until(async () => (seen = await status()).state === state, {
            describe: `the run to be in the state ${state}`,
            within: 30_000,
            show: () => seen,
          });
          return status();
        },
        update: (update, ...args) => handle.executeUpdate<StatusReport, [unknown]>(update, { args: args as [unknown] }),
      };
    },
    async close() {
      for (const { worker } of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.allSettled(workers.map(({ running }) => running));
      await native.close();
      await connection.close();
    },
  };
}

/** What the run's failure says to a person and to a program. */
export async function failureOf(promise: Promise<unknown>): Promise<{ type: string | null; message: string }> {
  const error = await promise.then(
    () => new Error('the run did not fail'),
    (thrown: unknown) => thrown,
  );
  const { cause } = error as Error;
  if (!(cause instanceof ApplicationFailure)) throw error;
  return { type: cause.type ?? null, message: cause.message };
}

/** What was said to the sender of an update that was refused. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  return (await failureOf(promise)).message;
}
