import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type Logger as SdkLogger, type LogMetadata } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from './activities/index.js';
import { createWorkerMetrics, SECONDS_BUCKETS } from './activities/metrics.js';
import { resolvePayloadKeys } from './config/encryption.js';
import type { Config } from './config/schema.js';
import { connect, resolveTarget } from './temporal/connection.js';
import { clientDataConverter, workerDataConverter } from './temporal/encryption.js';
import { openHealth, type Health, type Probes } from './temporal/health.js';
import { watchRunStates } from './temporal/run-states.js';
import { registeredSearchAttributes } from './temporal/search-attributes.js';

export interface WorkerDeps {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** Aborted: take no more work, let steps in progress end within the grace time, close the connections. */
  readonly signal: AbortSignal;
  /** The worker polls: from now on runs go forward. */
  readonly onReady?: () => void;
}

/** After the grace for steps, a cancelled one needs time to roll back and to say so. */
const ROLLBACK_SECONDS = 15;

/**
 * Serves the task queue until the signal comes. Owns the connections to Temporal and, through the activities, all sessions on
 * databases; they are closed when it returns, also when it throws.
 */
export async function runWorker(deps: WorkerDeps): Promise<void> {
  const { healthAddress } = deps.config.worker;
  if (healthAddress === null) return serve(deps, null);
  const health = await openHealth(healthAddress);
  try {
    await serve(deps, health);
  } finally {
    await health.close();
  }
}

async function serve({ config, env, log, signal, onReady }: WorkerDeps, health: Health | null): Promise<void> {
  const { taskQueue } = config.temporal;
  const { maxConcurrentActivities, shutdownGraceSeconds, metricsAddress } = config.worker;
  const keys = await resolvePayloadKeys(config.temporal.encryption, env);
  const searchAttributes = await hasSearchAttributes(config, env, log);
  // Not before all of that has gone well: with nothing to serve, the native part would keep the process for ever.
  installRuntime(log, metricsAddress);
  const { address, namespace, connectionOptions } = resolveTarget(config.temporal, { env });
  const connection = await NativeConnection.connect({
    ...connectionOptions,
    // Compressing what never leaves the machine costs a millisecond per activity (reference/temporal.md §3.5).
    ...(isLoopback(address) ? { grpcCompression: { codec: 'none' } } : {}),
  });
  try {
    const metrics = createWorkerMetrics(Runtime.instance().metricMeter);
    const { close, ...activities } = createActivities({ config, log, searchAttributes, env, metrics });
    try {
      const worker = await Worker.create({
        connection,
        namespace,
        taskQueue,
        ...(keys.length === 0 ? workflows() : WITHOUT_BUNDLE),
        dataConverter: workerDataConverter(keys),
        activities,
        maxConcurrentActivityTaskExecutions: maxConcurrentActivities,
        shutdownGraceTime: `${shutdownGraceSeconds}s`,
        shutdownForceTime: `${shutdownGraceSeconds + ROLLBACK_SECONDS}s`,
        // Cancellation travels with heartbeats: the default throttle makes a cancel take 80 % of the heartbeat timeout.
        maxHeartbeatThrottleInterval: '1s',
        // How long a workflow task waits for this worker's cache when the worker is dead: a part of every resume after a kill. No
        // shorter: the tasks of a worker that is only busy would go elsewhere, to replay whole histories.
        stickyQueueScheduleToStartTimeout: '1s',
      });
      const stop = () => worker.shutdown();
      const running = worker.run();
      health?.serve(probesOf(worker, connection, signal));
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      else {
        log.info(`worker ready: task queue ${taskQueue}, namespace ${namespace}, ${address}`);
        onReady?.();
      }
      const isCounted = metricsAddress !== null && searchAttributes;
      const client = new Client({ connection, namespace, dataConverter: clientDataConverter(keys) });
      const unwatch = isCounted ? watchRunStates({ client, taskQueue, log, tell: metrics.runs }) : () => undefined;
      await running.finally(() => {
        unwatch();
        signal.removeEventListener('abort', stop);
      });
      log.info('worker stopped');
    } finally {
      await close();
    }
  } finally {
    await connection.close();
  }
}

/** Longer than a server that is busy takes to answer from memory, shorter than whoever asks us waits. */
const ANSWER_MS = 2_000;

/** A stop is no fault: the worker lives until what runs has ended, and takes nothing more. */
function probesOf(worker: Worker, connection: NativeConnection, signal: AbortSignal): Probes {
  const ask = async () => {
    await connection.withDeadline(Date.now() + ANSWER_MS, () => connection.workflowService.getSystemInfo({}));
    return null;
  };
  let asking: Promise<string | null> | null = null;
  return {
    live: () => (/^(FAILED|STOPPED)$/.test(worker.getState()) ? `the worker is ${worker.getState()}` : null),
    ready: () => {
      if (signal.aborted || worker.getState() !== 'RUNNING') return Promise.resolve('stopping');
      // One question at a time, however many ask us.
      asking ??= ask()
        .catch(() => 'Temporal does not answer')
        .finally(() => (asking = null));
      return asking;
    },
  };
}

function installRuntime(log: Logger, metricsAddress: string | null): void {
  Runtime.install({
    logger: sdkLogger(log),
    // The caller decides about signals, since it may have servers to stop after us: the SDK's own handlers stay off.
    shutdownSignals: [],
    telemetryOptions: {
      logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} },
      ...(metricsAddress === null
        ? {}
        : {
            metrics: { prometheus: { bindAddress: metricsAddress, histogramBucketOverrides: SECONDS_BUCKETS } },
          }),
    },
  });
}

function isLoopback(address: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(address);
}

/** For the SDK to bundle at the start, in two seconds: how failures are encrypted is part of a bundle, and the build's has none of it. */
const WITHOUT_BUNDLE = { workflowsPath: fileURLToPath(new URL('./workflows/index.js', import.meta.url)) };

/** The bundle of the build; without one (a development checkout) the SDK bundles the compiled workflows at the start, in two seconds. */
function workflows(): { workflowBundle: { codePath: string } } | { workflowsPath: string } {
  const codePath = fileURLToPath(new URL('./workflow-bundle.js', import.meta.url));
  if (existsSync(codePath)) return { workflowBundle: { codePath } };
  if (process.env['NODE_ENV'] === 'production') {
    throw new Error(`The workflow bundle ${codePath} is missing: this package is not complete. Run "npm run build".`);
  }
  return WITHOUT_BUNDLE;
}

/** A run that writes an attribute which the namespace does not know hangs; so they are all there, or none is written. */
async function hasSearchAttributes(config: Config, env: NodeJS.ProcessEnv, log: Logger): Promise<boolean> {
  const { connection, namespace, close } = await connect(config.temporal, { env });
  try {
    const { missing, ofAnotherType } = await registeredSearchAttributes(connection, namespace);
    if (missing.length === 0 && ofAnotherType.length === 0) return true;
    const names = [
      ...missing.map(({ name }) => name),
      ...ofAnotherType.map(({ name, found }) => `${name} (is ${found})`),
    ];
    log.warn(
      `search attributes are not registered (${names.join(', ')}): runs go on without them; "pg-unwind setup" registers them`,
    );
    return false;
  } finally {
    await close();
  }
}

/** The SDK's words in our log. Its everyday life (states of the worker, tasks) is debug here: one line per step is the log. */
function sdkLogger(log: Logger): SdkLogger {
  const write = (level: 'trace' | 'debug' | 'info' | 'warn' | 'error', message: string, meta?: LogMetadata) => {
    const { error, ...fields } = meta ?? {};
    log[level]({ ...fields, ...(error === undefined ? {} : { err: error }) }, message);
  };
  const child = {
    trace: (message: string, meta?: LogMetadata) => write('trace', message, meta),
    debug: (message: string, meta?: LogMetadata) => write('debug', message, meta),
    info: (message: string, meta?: LogMetadata) => write('debug', message, meta),
    warn: (message: string, meta?: LogMetadata) => write('warn', message, meta),
    error: (message: string, meta?: LogMetadata) => write('error', message, meta),
  };
  return {
    ...child,
    log: (level, message, meta) => child[level.toLowerCase() as keyof typeof child](message, meta), // the five levels are the SDK's own
  };
}
