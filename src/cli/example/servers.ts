import { startEmbeddedPostgres, type EmbeddedPostgres, type EmbeddedPostgresOptions } from '../../postgres/embedded.js';
import { startDevServer, type DevServer, type DevServerOptions } from '../../temporal/dev-server.js';

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

/** What has been started, and how to stop it: newest first, each once, every one even if another's stop fails. */
export interface Stops {
  push(stop: () => Promise<void>): void;
  all(): Promise<void>;
}

export function createStops(): Stops {
  const pending: (() => Promise<void>)[] = [];
  return {
    push: (stop) => void pending.push(stop),
    async all() {
      const errors: unknown[] = [];
      for (let stop = pending.pop(); stop !== undefined; stop = pending.pop()) {
        await stop().catch((error: unknown) => errors.push(error));
      }
      if (errors.length > 0) throw errors[0];
    },
  };
}
