import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startDevServer, type DevServer } from '../../src/temporal/dev-server.js';
import { defineRows, type RowDefinition, type RowServers } from './matrix/define.js';
import { standbyRow } from './matrix/standby.js';

/** A Temporal server of the row's own; `again` starts it on the same port, with or without what it knew. */
interface OwnTemporal extends RowServers {
  kill(): Promise<void>;
  again(): Promise<void>;
}

async function ownTemporal({ keeps }: { keeps: boolean }): Promise<OwnTemporal> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-temporal-'));
  const dbFilename = path.join(folder, 'temporal.db');
  const options = { headless: true, ...(keeps ? { dbFilename } : {}) };
  let server: DevServer = await startDevServer({ ...options, anyPort: true });
  const { address, namespace } = server;
  return {
    temporal: { address, namespace },
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      await server.ended;
    },
    async again() {
      server = await startDevServer({ ...options, port: Number(address.split(':')[1]), namespace });
    },
    async close() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function rowOfTemporal(name: string, keeps: boolean, row: Partial<RowDefinition>): RowDefinition {
  let own: OwnTemporal;
  return {
    name,
    ...row,
    ownTemporal: async () => (own = await ownTemporal({ keeps })),
    async fault({ mark, open }) {
      mark();
      await own.kill();
      const opened = open(); // the workers go on with what they have in hand, and cannot tell anybody
      await own.again();
      await opened;
    },
  };
}

defineRows([
  {
    name: 'crash Postgres (immediate stop) and restart it',
    async fault({ bench, mark, open }) {
      mark();
      await bench.postgres.crash();
      await bench.postgres.start();
      await open('lose');
    },
  },
  rowOfTemporal('kill -9 the Temporal server, restart it from its file', true, { spares: true }),
  rowOfTemporal("Temporal's history is lost altogether; a new start on a new server", false, { startsAgain: true }),
  standbyRow,
]);
