import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { FailureType, UnwindError } from '../contract/errors.js';

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
  let found: ReturnType<typeof loadClientConnectConfig>;
  try {
    found = loadClientConnectConfig({
      ...(settings.profile === undefined ? {} : { profile: settings.profile }),
      ...(options.env ? { overrideEnvVars: definedOnly(options.env) } : {}),
    });
  } catch (cause) {
    throw new UnwindError(
      FailureType.InvalidConfig,
      `The Temporal profile ${settings.profile === undefined ? 'in use' : `"${settings.profile}"`} cannot be used: ${messageOf(cause)}. ` +
        'Nothing was done. Look at temporal.toml with "temporal config list", or set "temporal.profile" in pg-unwind.yaml.',
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
  // The two kinds of connection take the same options but for the type of a proxy's address.
  const connection = await Connection.connect({ ...(connectionOptions as object), address, connectTimeout }).catch(
    (cause: unknown) => {
      throw unreachable(address, cause);
    },
  );
  try {
    await connection.withDeadline(Date.now() + connectTimeout, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  } catch (cause) {
    await connection.close();
    throw refused(address, namespace, cause);
  }
  return {
    connection,
    client: new Client({ connection, namespace }),
    address,
    namespace,
    close: () => connection.close(),
  };
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

function refused(address: string, namespace: string, cause: unknown): UnwindError {
  const { code } = cause as { code?: unknown };
  if (code !== NOT_FOUND && !MAY_NOT.has(code)) return unreachable(address, cause);
  const [what, remedy] =
    code === NOT_FOUND
      ? [
          'has no such namespace',
          `Create it with "temporal operator namespace create -n ${namespace} --address ${address}"`,
        ]
      : ['does not let us in', 'Check the API key or the certificate of the profile'];
  return new UnwindError(
    FailureType.InvalidConfig,
    `The Temporal server at ${address} ${what} ("${namespace}"). Nothing was done. ` +
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
