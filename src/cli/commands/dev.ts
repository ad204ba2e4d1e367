import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import getPort from 'get-port';
import type { Logger } from 'pino';
import { loadConfig } from '../../config/load.js';
import type { Config } from '../../config/schema.js';
import { ExitCode, FailureType, UnwindError } from '../../contract/errors.js';
import { workflowIdOf } from '../../contract/ids.js';
import type { EmbeddedPostgresOptions } from '../../postgres/embedded.js';
import type { CommandSpec, Invocation } from '../command.js';
import type { Servers } from '../example/servers.js';
import { createStops, type Stops } from '../example/stops.js';
import { CliFailure, CommandError } from '../failure.js';
import { DETACHED } from '../follow.js';
import { onInterrupt } from '../interrupt.js';
import { createLog } from '../log.js';

const FOLDER = path.join('.pg-unwind', 'dev');
const INSTANCE = 'shop-dev';
/** Unusual, so that it is free; the same each time, so that a connection string stays true. */
const POSTGRES_PORT = 54_329;

export const devCommand: CommandSpec = {
  name: 'dev',
  summary:
    'A Temporal dev server, a Postgres and a worker on this machine, for your own configuration or for the example.',
  details:
    `With a pg-unwind.yaml (--config, PG_UNWIND_CONFIG or in this folder) the worker serves its instances; without one, the example product is set up in ` +
    `${FOLDER}. The Postgres keeps its data there; runs in Temporal last as long as the server. Ctrl-C stops everything.`,
  examples: ['dev', 'dev --config staging.yaml'],
  async run(invocation) {
    const { terminal } = invocation;
    const interrupt = onInterrupt();
    const stops = createStops();
    const log = createLog(invocation.logMode, terminal.out);
    try {
      const serving = serve(invocation, stops, log, interrupt.signal);
      serving.catch(() => undefined); // after an interrupt its failure is that of what was cut off
      const code = await Promise.race([serving, interrupt.arrived.then(() => null)]);
      if (code !== null) return code;
      terminal.err('Stopping …');
      await Promise.race([serving, interruptGrace()]).catch(() => undefined);
      return ExitCode.done;
    } finally {
      await stops.all();
      interrupt.release();
      if (interrupt.signal.aborted) setTimeout(() => process.exit(), 500).unref();
    }
  },
};

/** The worker's own grace time is the configuration's; a start that is cut off has none. */
function interruptGrace(): Promise<number> {
  return new Promise((resolve) => setTimeout(() => resolve(DETACHED), 60_000).unref());
}

async function serve(invocation: Invocation, stops: Stops, log: Logger, signal: AbortSignal): Promise<number> {
  const { terminal, env } = invocation;
  const own = ownConfig(invocation);
  terminal.out('Starting Postgres and Temporal …');
  const { startServers } = await import('../example/servers.js');
  const servers = await startServers(stops, {
    postgres: await postgresOptions(terminal.err),
    temporal: { ...temporalPort(own), say: terminal.err },
  });
  await mkdir(FOLDER, { recursive: true });
  const urlFile = path.join(FOLDER, 'postgres.url');
  await writeFile(urlFile, `${servers.postgres.superuserUrl}\n`, { mode: 0o600 });

  const { config, lines } = own === null ? await exampleConfig(servers, env) : withServer(own, servers, env);
  signal.throwIfAborted();
  const { runWorker } = await import('../../worker.js');
  const greeting = [...addresses(servers, urlFile), '', ...lines, '', 'Ctrl-C stops everything.'].join('\n');
  await runWorker({ config, env, log, signal, onReady: () => terminal.out(greeting) });
  if (signal.aborted) return ExitCode.done;
  throw new CommandError(CliFailure.Unexpected, 'The worker ended by itself; its last lines are above.');
}

function ownConfig({ configFile, env }: Invocation): Config | null {
  if (configFile === undefined && !env['PG_UNWIND_CONFIG'] && !existsSync('pg-unwind.yaml')) return null;
  return loadConfig(configFile, { env });
}

/**
 * A configuration that names a Temporal elsewhere would lead the user's next command there while this one serves here.
 * @throws {UnwindError} InvalidConfig
 */
function temporalPort(own: Config | null): { port?: number; namespace?: string } {
  const namespace = own?.temporal.namespace === undefined ? {} : { namespace: own.temporal.namespace };
  const address = own?.temporal.address;
  if (address === undefined) return namespace;
  const [, port] = /^(?:localhost|127\.0\.0\.1):(\d+)$/.exec(address) ?? [];
  if (port !== undefined) return { ...namespace, port: Number(port) };
  throw new UnwindError(
    FailureType.InvalidConfig,
    `${own?.file} names the Temporal server ${address}, but "pg-unwind dev" starts one on this machine. Nothing was started. ` +
      'Run "pg-unwind worker" to serve that one, or leave temporal.address out of the configuration used here.',
  );
}

/** Beside the checkout if the server can live there (as root it runs as "nobody", who cannot enter root's home). */
async function postgresOptions(say: (line: string) => void): Promise<EmbeddedPostgresOptions> {
  const port = await getPort({ host: '127.0.0.1', port: POSTGRES_PORT });
  if (process.getuid?.() !== 0) return { port, dataDir: path.join(FOLDER, 'postgres') };
  say('As root, Postgres runs as another user in a temporary folder: its data is gone when this ends.');
  return { port };
}

async function exampleConfig(servers: Servers, env: NodeJS.ProcessEnv) {
  const { setUpShop } = await import('../example/shop.js');
  const shop = await setUpShop({ folder: FOLDER, instance: INSTANCE, ...servers });
  const config = loadConfig(shop.configFile, { env });
  const input = JSON.stringify({ instance: INSTANCE, to: shop.oldest });
  return {
    config,
    lines: [
      `The example product has ${shop.catalog.releases.length} releases, ${shop.oldest} to ${shop.newest}; its databases are what you made of them (empty at first). In another terminal:`,
      `  export PG_UNWIND_CONFIG=${shop.configFile}`,
      `  ${typed(env)} upgrade ${INSTANCE} --to ${shop.newest} --wait`,
      `  ${typed(env)} plan ${INSTANCE} --to ${shop.oldest}`,
      `  ${typed(env)} downgrade ${INSTANCE} --to ${shop.oldest} --wait`,
      `or, with the Temporal CLI ("${typed(env)} temporal …" where it is not on the PATH):`,
      `  ${plainStart(servers, config.temporal.taskQueue, INSTANCE, input)}`,
    ],
  };
}

function withServer(own: Config, { temporal }: Servers, env: NodeJS.ProcessEnv) {
  const config = { ...own, temporal: { ...own.temporal, address: temporal.address, namespace: temporal.namespace } };
  const instances = Object.keys(own.instances);
  const [first = '<instance>'] = instances;
  const elsewhere = own.temporal.address === undefined;
  return {
    config,
    lines: [
      `Serving ${instances.length} ${instances.length === 1 ? 'instance' : 'instances'} of ${own.file}${instances.length > 0 ? `: ${instances.slice(0, 8).join(', ')}` : ''}. In another terminal:`,
      ...(elsewhere ? [`  export TEMPORAL_ADDRESS=${temporal.address} TEMPORAL_NAMESPACE=${temporal.namespace}`] : []),
      `  ${typed(env)} downgrade ${first} --to <release> --wait`,
      `  ${plainStart({ temporal }, config.temporal.taskQueue, first, JSON.stringify({ instance: first, to: '<release>' }))}`,
    ],
  };
}

function addresses({ postgres, temporal }: Servers, urlFile: string): string[] {
  return [
    '',
    `Temporal   ${temporal.address}, namespace ${temporal.namespace}`,
    `Web UI     ${temporal.uiUrl}`,
    `Postgres   127.0.0.1:${postgres.port} (${postgres.version}): psql "$(cat ${urlFile})"`,
  ];
}

/** As this very command was typed: in a clone there is no `pg-unwind` on the PATH. */
function typed(env: NodeJS.ProcessEnv): string {
  return env['npm_package_name'] === 'pg-unwind' ? 'npm run -s pg-unwind --' : 'pg-unwind';
}

function plainStart(
  { temporal }: Pick<Servers, 'temporal'>,
  taskQueue: string,
  instance: string,
  input: string,
): string {
  const address = temporal.address === '127.0.0.1:7233' ? '' : ` --address ${temporal.address}`;
  return (
    `temporal workflow start${address} --type downgrade --task-queue ${taskQueue} --workflow-id ${workflowIdOf(instance)} ` +
    `--fail-existing --input '${input}'`
  );
}
