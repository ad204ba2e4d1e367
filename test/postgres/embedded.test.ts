import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/postgres/embedded.js';
import { queryAt, serverMajor } from '../support/postgres.js';
import { repository } from '../support/shared.js';
import { until } from '../support/until.js';
import type { PostgresMajor } from '../../src/postgres/embedded-binaries.js';

const major = () => serverMajor() as PostgresMajor;
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('an embedded Postgres', () => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await startEmbeddedPostgres({ major: major(), settings: { max_connections: 20 } });
  });
  afterAll(async () => server.stop());

  test('is of the major that was asked for, with the settings given', async () => {
    expect(Number.parseInt(server.version, 10)).toBe(major());
    const [row] = await queryAt(server.superuserUrl, "select current_setting('max_connections') as connections");
    expect(row).toEqual({ connections: '20' });
  });

  test('lets nobody in without the password', async () => {
    const wrong = server.url('postgres', 'postgres', 'guess');
    await expect(queryAt(wrong, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  });

  test('recovers after a crash what was committed, on the same port', async () => {
    const { port, pid } = server;
    await queryAt(server.superuserUrl, 'create table kept as select 1 as one; checkpoint; insert into kept values (2)');
    await server.crash();
    expect(server.running).toBe(false);
    await server.start();
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    expect(await queryAt(server.superuserUrl, 'select count(*)::int as n from kept')).toEqual([{ n: 2 }]);
  });

  test('stopped and removed, nothing of it is left, and a second stop does nothing', async () => {
    const other = await startEmbeddedPostgres({ major: major() });
    await other.stop();
    await other.stop();
    expect(isAlive(other.pid)).toBe(false);
    expect(existsSync(other.dataDir)).toBe(false);
  });
});

test('a data directory that was given keeps its data and its password', async () => {
  const dataDir = mkdtempSync('/tmp/pg-unwind-test-');
  try {
    const first = await startEmbeddedPostgres({ major: major(), dataDir });
    await queryAt(first.superuserUrl, 'create table kept ()');
    await first.stop();
    const second = await startEmbeddedPostgres({ major: major(), dataDir });
    const [row] = await queryAt(second.superuserUrl, "select to_regclass('kept') is not null as there");
    await second.stop();
    expect(row).toEqual({ there: true });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('a port that is taken is refused by name when it was asked for', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as net.AddressInfo;
  try {
    await expect(startEmbeddedPostgres({ major: major(), port })).rejects.toThrow(
      new RegExp(`port ${port} did not start.*The port is taken`),
    );
  } finally {
    taken.close();
  }
});

const built = path.join(repository, 'dist/postgres/embedded.js');

test.skipIf(!existsSync(built))(
  'the server and its data do not outlive a parent that was killed (skipped before "npm run build")',
  async () => {
    const program = `
    import { startEmbeddedPostgres } from ${JSON.stringify(built)};
    const server = await startEmbeddedPostgres({ major: ${major()} });
    console.log(JSON.stringify({ pid: server.pid, dataDir: server.dataDir }));
    setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    parent.stdout.on('data', (chunk) => (said += String(chunk)));
    const { pid, dataDir } = JSON.parse(
      await until(() => said.includes('\n') && said, { within: 60_000, describe: 'the server to be up' }),
    ) as { pid: number; dataDir: string };
    expect(isAlive(pid)).toBe(true);

    parent.kill('SIGKILL');
    await until(() => !isAlive(pid) || isZombie(pid), { within: 20_000, describe: `process ${pid} to end` });
    await until(() => !existsSync(path.dirname(dataDir)), { within: 20_000, describe: `${dataDir} to be removed` });
  },
);

/** Where nobody reaps orphans (a container without an init), the ended process stays in the table. */
function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
