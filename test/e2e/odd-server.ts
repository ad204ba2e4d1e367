import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../src/postgres/embedded.js';
import { queryAt, type TestDatabase } from '../support/postgres.js';

/** A Postgres server of the test's own in a folder that survives a halt, with one empty database; gone when the test ends. */
export interface OwnServer {
  readonly server: EmbeddedPostgres;
  readonly folder: string;
  readonly database: TestDatabase;
}

const ROLE = 'shop_owner';
const DATABASE = 'shop';
const PASSWORD = 'shop-0815';

export async function ownServer(options: EmbeddedPostgresOptions = {}): Promise<OwnServer> {
  const folder = temporaryFolder();
  const server = await startIn(folder, options);
  await queryAt(server.superuserUrl, `create role ${ROLE} login password '${PASSWORD}'`);
  await queryAt(server.superuserUrl, `create database ${DATABASE} owner ${ROLE} template template0`);
  return { server, folder, database: databaseOn(server) };
}

/** A server on a folder that `copyOf` has made. */
export async function startIn(folder: string, options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ ...options, dataDir: folder });
  onTestFinished(() => server.stop());
  return server;
}

/** A cold copy, as a backup of a file system has it: the server must be halted. */
export async function copyOf(folder: string): Promise<string> {
  const copy = temporaryFolder();
  await promisify(execFile)('cp', ['-a', `${folder}/.`, copy]);
  return copy;
}

/** Puts a cold copy in the place of what is there: the server must be halted. */
export async function putBack(copy: string, folder: string): Promise<void> {
  rmSync(path.join(folder, 'cluster'), { recursive: true });
  await promisify(execFile)('cp', ['-a', path.join(copy, 'cluster'), path.join(folder, 'cluster')]);
}

/** Makes a cold copy the hot standby of the server that it was copied from. */
export function asStandby(copy: string): void {
  writeFileSync(path.join(copy, 'cluster', 'standby.signal'), '');
}

export const conninfo = ({ port, password }: EmbeddedPostgres) =>
  `host=127.0.0.1 port=${port} user=postgres password=${password}`;

export function databaseOn(server: EmbeddedPostgres): TestDatabase {
  const urlAs = (role: string) => server.url(DATABASE, role, PASSWORD);
  const superuserUrl = server.url(DATABASE);
  return {
    name: DATABASE,
    role: ROLE,
    url: urlAs(ROLE),
    superuserUrl,
    urlAs,
    query: (text, values) => queryAt(urlAs(ROLE), text, values),
    asSuperuser: (text, values) => queryAt(superuserUrl, text, values),
    drop: () => server.stop(),
  };
}

/** The server drops root's rights: its folder must be one that everybody may enter. */
function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'pg-unwind-odd-server-'));
  chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
