import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import {
  DefaultLogger,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { pino } from 'pino';
import { inject } from 'vitest';
import { createActivities } from '../../src/activities/index.js';
import { parseConfig } from '../../src/config/load.js';
import { dataWorkflowIdOf, workflowIdOf, type WorkflowType } from '../../src/contract/ids.js';
import {
  QueryName,
  UpdateName,
  type RunState,
  type StatusReport,
  type UnwindReport,
} from '../../src/contract/messages.js';
import { createEngine, type Engine } from '../../src/instance/engine.js';
import { registeredSearchAttributes } from '../../src/temporal/search-attributes.js';
import { workflowBundle } from './bundle.js';
import { keptOf } from './kept.js';
import { until } from './until.js';

export interface TestEngineOptions {
  /** The text of a `pg-unwind.yaml`. */
  readonly config: string;
  /** Where that file would lie: relative paths in it begin there. */
  readonly folder: string;
  /** What its `{ env: … }` references find; nothing else is looked at. */
  readonly env: NodeJS.ProcessEnv;
  readonly worker?: Partial<WorkerOptions>;
}

/** A real worker with the real activities, on a task queue of its own, inside this process. */
export interface TestEngine extends Pick<Engine, 'plan' | 'check'> {
  readonly client: Client;
  readonly taskQueue: string;
  /** What the worker has logged, fields and all. */
  logged(): string;
  /** `input` as the command line would give it; `instance` in it names the workflow unless `workflowId` does. */
  start(type: WorkflowType, input: unknown, options?: StartOptions): Promise<TestRun>;
  /** Another worker in place of this one, as after a deployment: nothing is remembered but what Temporal and the databases hold. */
  restart(): Promise<void>;
  /** Stops the worker as a deployment does, with all its sessions. Runs stay where they are. Idempotent. */
  close(): Promise<void>;
}

export interface StartOptions {
  readonly workflowId?: string;
  /** In place of the input: no argument at all, or several. */
  readonly args?: readonly unknown[];
}

export interface TestRun {
  readonly handle: WorkflowHandle;
  readonly workflowId: string;
  readonly report: Promise<UnwindReport>;
  /** The report of a run that nobody has to help: one that waits for a person fails at once, saying what for. */
  unaided(): Promise<UnwindReport>;
  status(): Promise<StatusReport>;
  inState(state: RunState): Promise<StatusReport>;
  update(name: keyof typeof UpdateName, ...args: readonly unknown[]): Promise<StatusReport>;
  /** Every text and payload that Temporal keeps of the run, as one string. */
  history(): Promise<string>;
}

// Of the process. A failing activity is no news where it is told to fail.
let runtime: Runtime | null = null;

export async function openTestEngine(options: TestEngineOptions): Promise<TestEngine> {
  const { address, namespace } = inject('temporal');
  const env = options.env;
  const config = parseConfig(options.config, path.join(options.folder, 'pg-unwind.yaml'));
  runtime ??= Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
  });
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address, grpcCompression: { codec: 'none' } });
  const client = new Client({ connection, namespace, identity: 'pg-unwind-test' });
  const { missing } = await registeredSearchAttributes(connection, namespace);
  const taskQueue = `test-${randomUUID()}`;
  const work = async () => {
    const { close, ...activities } = createActivities({ config, log, searchAttributes: missing.length === 0, env });
    const worker = await Worker.create({
      connection: native,
      namespace,
      taskQueue,
      identity: 'pg-unwind-test',
      workflowBundle: await workflowBundle(),
      activities,
      maxHeartbeatThrottleInterval: '100ms',
      stickyQueueScheduleToStartTimeout: '500ms',
      ...options.worker,
    });
    const running = worker.run();
    return async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running.catch(() => undefined);
      await close();
    };
  };
  let stop = await work();
  const engine = createEngine({ config, env });
  let closed: Promise<void> | null = null;

  return {
    client,
    taskQueue,
    plan: (order) => engine.plan(order),
    check: (order) => engine.check(order),
    logged: () => lines.join(''),
    async start(type, input, { workflowId, args } = {}) {
      const { instance: named, id: data } = (input ?? {}) as { instance?: unknown; id?: unknown };
      const instance = typeof named === 'string' ? named : randomUUID();
      const own = type === 'dataMigration' ? dataWorkflowIdOf(instance, String(data)) : workflowIdOf(instance);
      const id = workflowId ?? own;
      const handle = await client.workflow.start(type, {
        taskQueue,
        workflowId: id,
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL', // `--fail-existing`
        args: [...(args ?? [input])],
      });
      return runOf(handle, id);
    },
    async restart() {
      await stop();
      stop = await work();
    },
    close() {
      closed ??= (async () => {
        await stop();
        await engine.close();
        await native.close();
        await connection.close();
      })();
      return closed;
    },
  };
}

function runOf(handle: WorkflowHandle, workflowId: string): TestRun {
  let asked: Promise<UnwindReport> | null = null;
  // Not before somebody asks: a wait for a run that is left where it is would outlive the connection.
  const ask = () => {
    asked ??= handle.result() as Promise<UnwindReport>;
    asked.catch(() => undefined); // a test that expects a failure awaits it later
    return asked;
  };
  const status = () => handle.query<StatusReport>(QueryName.status);
  return {
    handle,
    workflowId,
    get report() {
      return ask();
    },
    async unaided() {
      const report = ask();
      for (;;) {
        const timer = new AbortController();
        const tick = sleep(250, null, { signal: timer.signal }).catch(() => null);
        const ended = await Promise.race([report.then(() => true), tick]).finally(() => timer.abort());
        if (ended === true) return report;
        const seen = await status(); // to its end: a question still under way would outlive the connection
        if (seen.state !== 'needsOperator' && seen.state !== 'awaitingApproval') continue;
        throw new Error(`${workflowId} waits for a person: ${inspect(seen, { depth: 6 })}`);
      }
    },
    status,
    async inState(state) {
      let seen: StatusReport | null = null;
      await until(async () => (seen = await status()).state === state, {
        describe: `the run to be in the state ${state}`,
        within: 60_000,
        every: 50,
        show: () => seen,
      });
      return status();
    },
    update: (name, ...args) => handle.executeUpdate<StatusReport, [unknown]>(name, { args: args as [unknown] }),
    async history() {
      return (await keptOf(handle)).join('\n');
    },
  };
}
