import type { Client, Connection } from '@temporalio/client';
import { findDataMigration, findRelease } from '../catalog/releases.js';
import { openCatalog } from '../catalog/store.js';
import { findInstance } from '../config/instances.js';
import { resolvePayloadKeys } from '../config/encryption.js';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { createEngine, type Engine } from '../instance/engine.js';
import { stringOption, type Invocation } from './command.js';
import { createLog } from './log.js';
import type { Runs } from './runs.js';

/** @throws UnwindError InvalidConfig, naming every problem of the file. */
export function openConfig({ configFile, env }: Invocation): Config {
  return loadConfig(configFile, { env });
}

export interface TemporalSession {
  readonly config: Config;
  readonly client: Client;
  readonly connection: Connection;
  readonly address: string;
  readonly namespace: string;
}

/** Connects to Temporal for the time of `work`. */
export async function withTemporal<T>(
  invocation: Invocation,
  work: (session: TemporalSession) => Promise<T>,
): Promise<T> {
  const config = openConfig(invocation);
  const { connect } = await import('../temporal/connection.js'); // half a second of native code, for those who need it
  const { env } = invocation;
  const keys = await resolvePayloadKeys(config.temporal.encryption, env);
  const { close, ...connected } = await connect(config.temporal, { env, keys });
  try {
    return await work({ config, ...connected });
  } finally {
    await close();
  }
}

/**
 * The runs in Temporal, for commands about one instance; a name that the configuration does not know is refused before anything
 * is asked.
 */
export async function withRuns<T>(
  invocation: Invocation,
  instance: string,
  work: (runs: Runs) => Promise<T>,
  /** The id of the data migration whose own run is meant. */
  data: string | undefined = stringOption(invocation.options, 'data'),
): Promise<T> {
  findInstance(openConfig(invocation), instance);
  const { createRuns } = await import('./runs.js');
  return withTemporal(invocation, ({ client, namespace, config }) =>
    work(
      createRuns({ client, namespace, taskQueue: config.temporal.taskQueue, ...(data === undefined ? {} : { data }) }),
    ),
  );
}

/** The engine without Temporal: plans and checks, straight from the databases. */
export async function withEngine<T>(invocation: Invocation, work: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = createEngine({
    config: openConfig(invocation),
    env: invocation.env,
    log: createLog(invocation.logMode, invocation.terminal.err),
  });
  try {
    return await work(engine);
  } finally {
    await engine.close();
  }
}

/** @throws UnwindError UnknownInstance, UnknownProduct or UnknownRelease, with the nearest names. */
export async function expectKnownTarget(invocation: Invocation, instance: string, label: string): Promise<void> {
  const { product } = findInstance(openConfig(invocation), instance);
  const { catalog } = await openCatalog(product.catalog);
  findRelease(catalog, label);
}

/** @throws UnwindError UnknownInstance, UnknownProduct or UnknownDataMigration, with the nearest names. */
export async function expectKnownData(invocation: Invocation, instance: string, id: string): Promise<void> {
  const { product } = findInstance(openConfig(invocation), instance);
  const { catalog } = await openCatalog(product.catalog);
  findDataMigration(catalog, Object.keys(product.databases), id);
}
