import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { FailureType, UnwindError } from '../contract/errors.js';
import { clientDataConverter, type PayloadKey } from './encryption.js';
import { findTlsObstacle, type TlsObstacle } from './tls-obstacle.js';

/** What `pg-unwind.yaml` says under `temporal`; each goes before the profile. */
export interface TemporalConnectSettings {
  readonly address?: string | undefined;
  readonly namespace?: string | undefined;
  /** Of temporal.toml; else TEMPORAL_PROFILE, else "default". */
  readonly profile?: string | undefined;
}

export interface ConnectOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly connectTimeoutMs?: number;
  /** Of what Temporal keeps; none: what is encrypted cannot be read. */
  readonly keys?: readonly PayloadKey[];
}

/** Where to connect, after the configuration, the environment (TEMPORAL_ADDRESS, _NAMESPACE, _API_KEY, _TLS_*) and temporal.toml were read. */
export interface TemporalTarget {
  readonly address: string;
  readonly namespace: string;
  /** With TLS and API key: secret. */
  readonly connectionOptions: NativeConnectionOptions;
}

export interface ClientConnection {
  readonly client: Client;
  readonly connection: Connection;
  readonly address: string;
  readonly namespace: string;
  close(): Promise<void>;
}

const DEFAULT_ADDRESS = '127.0.0.1:7233';
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Reads where Temporal is; connects to nothing.
 * @throws {UnwindError} InvalidConfig: temporal.toml cannot be used, or has no such profile.
 */
export function resolveTarget(settings: TemporalConnectSettings, options: ConnectOptions = {}): TemporalTarget {
  let found: ReturnType<typeof toClientOptions>;
  try {
    const profile = loadClientConfigProfile({
      ...(settings.profile === undefined ? {} : { profile: settings.profile }),
      ...(options.env ? { overrideEnvVars: definedOnly(options.env) } : {}),
    });
    const { clientCert, clientKey } = profile.tls ?? {};
    // it would go without either, and be told that there is none
    if ((clientCert === undefined) !== (clientKey === undefined)) {
      throw new Error(`it has a client's ${clientCert ? 'certificate, but no key' : 'key, but no certificate'}`);
    }
    found = toClientOptions(profile);
  } catch (cause) {
    throw new UnwindError(
      FailureType.InvalidConfig,
      `The Temporal profile ${settings.profile === undefined ? 'in use' : `"${settings.profile}"`} cannot be used: ${messageOf(cause)}. ` +
        'Nothing was done. Look at temporal.toml with "temporal config list" and at the TEMPORAL_* variables, or set "temporal.profile" in pg-unwind.yaml.',
      { cause },
    );
  }
  const address = settings.address ?? found.connectionOptions.address ?? DEFAULT_ADDRESS;
  return {
    address,
    namespace: settings.namespace ?? found.namespace ?? 'default',
    connectionOptions: { ...found.connectionOptions, address },
  };
}

/**
 * Connects for starting, asking and telling runs. The caller closes it.
 * @throws {UnwindError} InvalidConfig: nobody answers, or the namespace is not there or closed to us; names the address and what to do.
 */
export async function connect(
  settings: TemporalConnectSettings,
  options: ConnectOptions = {},
): Promise<ClientConnection> {
  const { address, namespace, connectionOptions } = resolveTarget(settings, options);
  const connectTimeout = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const asked = { address, namespace, profile: settings.profile };
  const connection = await reach(asked, connectionOptions, connectTimeout);
  try {
    await connection.withDeadline(Date.now() + connectTimeout, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  } catch (cause) {
    await connection.close();
    throw refused(asked, cause);
  }
  return {
    connection,
    client: new Client({ connection, namespace, dataConverter: clientDataConverter(options.keys ?? []) }),
    address,
    namespace,
    close: () => connection.close(),
  };
}

/** Longer than a server takes that lets us in; gRPC would knock until its time is over, and could not say why. */
const LOOK_AFTER_MS = 700;

async function reach(asked: Asked, options: NativeConnectionOptions, connectTimeout: number): Promise<Connection> {
  const { address } = asked;
  let connection: Connection | null = null;
  const looking = new AbortController();
  try {
    // The two kinds of connection take the same options but for the type of a proxy's address.
    connection = Connection.lazy({ ...(options as object), address, connectTimeout });
    const connected = connection.ensureConnected();
    connected.catch(() => undefined); // when the look was faster
    const obstacle = await Promise.race([
      connected.then(() => null),
      sleep(LOOK_AFTER_MS, null, { signal: looking.signal })
        .then(() => findTlsObstacle(address, options.tls))
        .then((found) => found ?? connected.then(() => null)),
    ]);
    if (obstacle === null) return connection;
    throw closed(address, obstacle);
  } catch (error) {
    await connection?.close();
    if (error instanceof UnwindError) throw error;
    const { cause } = error as { cause?: unknown };
    if (mayNot(cause)) throw refused(asked, cause);
    const obstacle = await findTlsObstacle(address, options.tls); // where gRPC was faster
    throw obstacle === null ? unreachable(address, error) : closed(address, obstacle, error);
  } finally {
    looking.abort();
  }
}

function closed(address: string, { found, remedy }: TlsObstacle, cause?: unknown): UnwindError {
  return new UnwindError(
    FailureType.InvalidConfig,
    `The Temporal server at ${address} ${found}. Nothing was done. ${remedy}; "temporal config list" shows the profile.`,
    { details: { address }, ...(cause === undefined ? {} : { cause }) },
  );
}

function unreachable(address: string, cause: unknown): UnwindError {
  return new UnwindError(
    FailureType.InvalidConfig,
    `No Temporal server answers at ${address} (${messageOf(cause)}). Nothing was done. ` +
      'Start one with "pg-unwind dev", or set temporal.address in pg-unwind.yaml, TEMPORAL_ADDRESS or a profile of temporal.toml.',
    { details: { address }, cause },
  );
}

/** gRPC codes by what the operator can do about them. */
const NOT_FOUND = 5;
const MAY_NOT: ReadonlySet<unknown> = new Set([7, 16]); // PERMISSION_DENIED, UNAUTHENTICATED
const codeOf = (cause: unknown) => (cause as { code?: unknown } | undefined)?.code;
const mayNot = (cause: unknown) => MAY_NOT.has(codeOf(cause));

interface Asked {
  readonly address: string;
  readonly namespace: string;
  readonly profile: string | undefined;
}

function refused({ address, namespace, profile }: Asked, cause: unknown): UnwindError {
  const isMissing = codeOf(cause) === NOT_FOUND;
  if (!isMissing && !mayNot(cause)) return unreachable(address, cause);
  const same = profile === undefined ? `--address ${address}` : `--profile ${profile}`;
  const [what, remedy] = isMissing
    ? [
        `has no namespace "${namespace}"`,
        `Create it with "temporal operator namespace create --namespace ${namespace} --retention 30d ${same}"`,
      ]
    : [
        `does not let us into the namespace "${namespace}" (${messageOf(cause)})`,
        'See that the API key is there and good ("api_key" of the profile, TEMPORAL_API_KEY), or what the client certificate may do',
      ];
  return new UnwindError(
    FailureType.InvalidConfig,
    `The Temporal server at ${address} ${what}. Nothing was done. ` +
      `${remedy}, or set temporal.namespace in pg-unwind.yaml or TEMPORAL_NAMESPACE.`,
    { details: { address, namespace }, cause },
  );
}

function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.message.replace(/\.$/, '').split('\n')[0] ?? '';
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
