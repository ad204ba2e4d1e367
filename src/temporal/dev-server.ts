import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import getPort from 'get-port';
import { FailureType, UnwindError } from '../contract/errors.js';
import { startOwnedProcess, type OwnedProcess, type StopLadder } from '../process/owned-process.js';
import { findTemporal } from './find-temporal.js';
import { registeredSearchAttributes, searchAttributeFlags } from './search-attributes.js';

export interface DevServerOptions {
  /** The `temporal` command; looked for when absent. */
  readonly temporal?: string | undefined;
  /** Exactly this port, or an error. Without it 7233, or the next free one. */
  readonly port?: number;
  /** Exactly this port, or an error. Without it 8233, or the next free one. */
  readonly uiPort?: number;
  /** Any free port rather than 7233 and 8233: for tests, which leave the usual ones to people. */
  readonly anyPort?: boolean;
  readonly headless?: boolean;
  /** Where runs are kept over a restart (SQLite; costs 16 ms an activity instead of 9). Without it they are lost with the server. */
  readonly dbFilename?: string;
  readonly namespace?: string;
  readonly dynamicConfig?: Readonly<Record<string, unknown>>;
  readonly logLevel?: 'error' | 'warn';
  readonly log?: (line: string) => void;
  /** What `findTemporal` has to say. */
  readonly say?: (line: string) => void;
}

export interface DevServer {
  /** "127.0.0.1:7233" */
  readonly address: string;
  readonly uiUrl: string | null;
  readonly namespace: string;
  readonly pid: number;
  /** Resolves when it has ended, however that came. */
  readonly ended: Promise<string>;
  /** Safe to call twice. */
  stop(): Promise<void>;
}

/** Without these an activity costs 100 ms, with them 9 to 11 (reference: the server polls its transfer queue 20 times a second by default). */
const FAST = { 'system.enableActivityEagerExecution': true, 'history.transferProcessorMaxPollRPS': 10_000 } as const;

const HOST = '127.0.0.1';
const STOP_LADDER: StopLadder = [
  ['TERM', 15],
  ['KILL', 5],
];
const READY_WITHIN_MS = 60_000;
const ATTEMPTS = 4;

/**
 * Starts `temporal server start-dev` and waits until it serves the namespace and knows our search attributes.
 * @throws {UnwindError} InvalidConfig: no `temporal`, a port that is taken, or a server that ended; carries its last lines.
 */
export async function startDevServer(options: DevServerOptions = {}): Promise<DevServer> {
  const command = options.temporal ?? (await findTemporal(options.say ? { say: options.say } : {})).path;
  const namespace = options.namespace ?? 'default';
  for (const fixed of [options.port, options.headless ? undefined : options.uiPort]) {
    if (fixed !== undefined && !(await isFree(fixed))) {
      throw new UnwindError(
        FailureType.InvalidConfig,
        `Port ${fixed} on ${HOST} is taken, so the Temporal development server was not started. ` +
          'End what listens there, name another port, or leave it out to get a free one.',
      );
    }
  }
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort(7233, options.anyPort));
    const uiPort = options.headless ? null : (options.uiPort ?? (await freePort(8233, options.anyPort)));
    const server = startOwnedProcess({
      command,
      args: argumentsFor({ ...options, port, namespace }, uiPort),
      env: environment(),
      stopWith: STOP_LADDER,
      ...(options.log ? { log: options.log } : {}),
    });
    const address = `${HOST}:${port}`;
    const failure = await untilReady(server, address, namespace).catch(async (error: unknown) => {
      await server.stop();
      throw error;
    });
    if (failure === null) {
      return Object.freeze({
        address,
        uiUrl: uiPort === null ? null : `http://${HOST}:${uiPort}`,
        namespace,
        pid: server.pid,
        ended: server.ended,
        stop: () => server.stop(),
      });
    }
    await server.stop();
    // Between looking and listening someone else may have come; it also takes half a dozen more ports by itself.
    const lines = server.lastLines();
    if (attempt < ATTEMPTS && lines.some((line) => /address already in use|can't bind/i.test(line))) continue;
    throw new UnwindError(
      FailureType.InvalidConfig,
      `The Temporal development server on ${address} did not start (${failure}). ` +
        `Its last lines: ${lines.slice(-6).join(' | ') || 'none'}`,
    );
  }
}

function argumentsFor(
  options: DevServerOptions & { port: number; namespace: string },
  uiPort: number | null,
): string[] {
  const dynamic = { ...FAST, ...options.dynamicConfig };
  return [
    ...['server', 'start-dev', '--ip', HOST, '--port', String(options.port)],
    ...['--namespace', options.namespace, '--log-level', options.logLevel ?? 'error', '--color', 'never'],
    ...(uiPort === null ? ['--headless'] : ['--ui-port', String(uiPort)]),
    ...(options.dbFilename ? ['--db-filename', options.dbFilename] : []),
    ...Object.entries(dynamic).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${JSON.stringify(value)}`]),
    ...searchAttributeFlags().flatMap((flag) => ['--search-attribute', flag]),
  ];
}

async function freePort(usual: number, any: boolean | undefined): Promise<number> {
  if (any) return getPort({ host: HOST });
  // not get-port: it holds back for 15 seconds what it gave out, so that a server started again would move to another port
  for (let port = usual; port < usual + 50; port += 1) {
    if (await isFree(port)) return port;
  }
  return getPort({ host: HOST });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: HOST }, () => probe.close(() => resolve(true)));
  });
}

/** No TEMPORAL_ADDRESS and the like: they speak of the server that is used, not of the one that is started. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}

/** Null when ready, otherwise why not. */
async function untilReady(server: OwnedProcess, address: string, namespace: string): Promise<string | null> {
  const deadline = Date.now() + READY_WITHIN_MS;
  let last = 'no answer';
  while (Date.now() < deadline) {
    if (server.end() !== null) return server.ended;
    try {
      if (await serves(address, namespace)) return server.end();
      last = 'its search attributes are not registered yet';
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(50);
  }
  return `not ready after ${READY_WITHIN_MS / 1000} s: ${last}`;
}

async function serves(address: string, namespace: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: 1_000 });
  try {
    return await connection.withDeadline(Date.now() + 2_000, async () => {
      await connection.workflowService.describeNamespace({ namespace });
      return (await registeredSearchAttributes(connection, namespace)).missing.length === 0;
    });
  } finally {
    await connection.close();
  }
}
