import { appendFile, chown, cp, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../src/postgres/embedded.js';

/** A cold copy of the primary, in `to`, that streams from it: there is no pg_basebackup among the embedded binaries. */
export async function startStandby(
  primary: EmbeddedPostgres,
  to: string,
  settings: NonNullable<EmbeddedPostgresOptions['settings']> = {},
): Promise<EmbeddedPostgres> {
  const from = path.dirname(primary.dataDir);
  await primary.halt();
  await cp(from, to, { recursive: true, preserveTimestamps: true });
  await ownAlike(from, to);
  await primary.start();
  const cluster = path.join(to, 'cluster');
  const { port, password } = primary;
  await appendFile(
    path.join(cluster, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres password=${password}'\n`,
  );
  await writeFile(path.join(cluster, 'standby.signal'), '');
  return startEmbeddedPostgres({ dataDir: to, settings });
}

/** As root the server runs as another user, whom a copy does not belong to by itself. */
async function ownAlike(from: string, to: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(path.join(from, 'cluster'));
  for (const entry of await readdir(to, { recursive: true })) await chown(path.join(to, entry), uid, gid);
  await chown(to, uid, gid);
}
