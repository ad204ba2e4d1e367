import { startEmbeddedPostgres, type EmbeddedPostgres, type EmbeddedPostgresOptions } from '../../postgres/embedded.js';
import { startDevServer, type DevServer, type DevServerOptions } from '../../temporal/dev-server.js';
import type { Stops } from './stops.js';

export interface Servers {
  readonly postgres: EmbeddedPostgres;
  readonly temporal: DevServer;
}

/** Starts both side by side. When one fails, the other is stopped before the failure is passed on. */
export async function startServers(
  stops: Stops,
  options: { readonly postgres?: EmbeddedPostgresOptions; readonly temporal?: DevServerOptions },
): Promise<Servers> {
  const postgres = startEmbeddedPostgres(options.postgres ?? {}).then((server) => {
    stops.push(() => server.stop());
    return server;
  });
  const temporal = startDevServer(options.temporal ?? {}).then((server) => {
    stops.push(() => server.stop());
    return server;
  });
  await Promise.allSettled([postgres, temporal]);
  return { postgres: await postgres, temporal: await temporal };
}
