import { randomUUID } from 'node:crypto';
import {
  DefaultLogger,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { inject, onTestFinished } from 'vitest';
import type { HandlerAnswer, HandlerCall } from '../../src/contract/handler.js';

export type Handler = (call: HandlerCall) => Promise<HandlerAnswer> | HandlerAnswer;

export interface HandlerWorkerOptions {
  readonly server?: { readonly address: string; readonly namespace: string };
  readonly worker?: Partial<WorkerOptions>;
}

export const newQueue = () => `handlers-${randomUUID()}`;

/** A worker as a product has it: its own task queue, activities and nothing else. Stops with the test, or before. */
export async function startHandlers(
  taskQueue: string,
  activities: Readonly<Record<string, (call: HandlerCall) => unknown>>,
  { server = inject('temporal'), worker: more = {} }: HandlerWorkerOptions = {},
): Promise<{ stop(): Promise<void> }> {
  const { address, namespace } = server;
  try {
    Runtime.install({
      logger: new DefaultLogger('ERROR', () => undefined),
      telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
    });
  } catch {
    // the harness has installed one
  }
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    activities: { ...activities },
    identity: 'the-products-own',
    maxHeartbeatThrottleInterval: '100ms',
    shutdownGraceTime: '1s',
    shutdownForceTime: '3s',
    ...more,
  });
  const running = worker.run();
  running.catch(() => undefined);
  const stop = async () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    await running.catch(() => undefined);
    await connection.close();
  };
  let stopped: Promise<void> | null = null;
  const once = () => (stopped ??= stop());
  onTestFinished(once);
  return { stop: once };
}
