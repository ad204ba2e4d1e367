import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findTemporal, type FindTemporalOptions } from '../../../src/temporal/find-temporal.js';

let folder: string;
let said: string[];
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-find-'));
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const TEMPORAL = '#!/bin/sh\necho "temporal version 1.5.1 (Server 1.29.1)"\n';

function program(name: string, content = TEMPORAL): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, 0o755);
  return file;
}

const find = (options: FindTemporalOptions = {}) =>
  findTemporal({
    env: { PATH: path.join(folder, 'bin') },
    cacheFolder: path.join(folder, 'cache'),
    downloadService: null,
    build: false,
    say: (line) => said.push(line),
    ...options,
  });

describe('the temporal command', () => {
  test('is the one of the setting, before PATH and cache, and PG_UNWIND_TEMPORAL goes before the configuration', async () => {
    const [a, b] = [program('a/temporal'), program('b/temporal')];
    program('bin/temporal');
    expect(await find({ setting: a })).toEqual({ path: a, how: 'setting' });
    expect(await find({ setting: a, env: { PG_UNWIND_TEMPORAL: b } })).toEqual({ path: b, how: 'setting' });
    expect(said).toEqual([]);
  });

  test('is the one on PATH, before the cache; a setting that names none is said', async () => {
    const onPath = program('bin/temporal');
    program('cache/temporal-v1.5.1/temporal');
    expect(await find({ setting: path.join(folder, 'none') })).toEqual({ path: onPath, how: 'PATH' });
    expect(said).toEqual([`temporal: the setting names ${folder}/none, which is not a program`]);
  });

  test('is the one in the cache when PATH has none, or only something else of that name', async () => {
    const cached = program('cache/temporal-v1.5.1/temporal');
    expect(await find()).toEqual({ path: cached, how: 'cache' });
    program('bin/temporal', '#!/bin/sh\necho "a planner for cron jobs"\n');
    expect(await find()).toEqual({ path: cached, how: 'cache' });
    expect(said).toEqual(['temporal: not on PATH', `temporal: ${folder}/bin/temporal on PATH is not the Temporal CLI`]);
  });

  test('is not a script on PATH that calls pg-unwind for it: that would go round in a circle', async () => {
    const cached = program('cache/temporal-v1.5.1/temporal');
    const calls = path.join(folder, 'calls');
    program(
      'bin/temporal',
      `#!/bin/sh\necho "$PG_UNWIND_WITHIN_TEMPORAL" >> ${calls}\necho "$0: found by pg-unwind"\nexit 1\n`,
    );
    expect(await find()).toEqual({ path: cached, how: 'cache' });
    expect(readFileSync(calls, 'utf8')).toBe('1\n');
    const env = { PATH: path.join(folder, 'bin'), PG_UNWIND_WITHIN_TEMPORAL: '1' };
    await expect(find({ env })).rejects.toThrow('a script that calls "pg-unwind temporal" again');
    expect(readFileSync(calls, 'utf8')).toBe('1\n');
  });

  test('is downloaded into the cache, and found there afterwards', async () => {
    program('packed/temporal');
    execFileSync('tar', ['-czf', path.join(folder, 'a.tar.gz'), '-C', path.join(folder, 'packed'), 'temporal']);
    const asked: string[] = [];
    const server = http.createServer((request, response) => {
      asked.push(String(request.url));
      if (request.url === '/archive') response.end(readFileSync(path.join(folder, 'a.tar.gz')));
      else response.end(JSON.stringify({ archiveUrl: `${address()}/archive`, fileToExtract: 'temporal' }));
    });
    const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      expect(await find({ downloadService: `${address()}/cli` })).toEqual({
        path: `${folder}/cache/temporal-v1.5.1/temporal`,
        how: 'downloaded',
      });
      expect(asked[0]).toMatch(/^\/cli\/v1\.5\.1\?arch=(amd64|arm64)&platform=(linux|darwin)&format=tar\.gz/);
      expect(readdirSync(path.join(folder, 'cache'))).toEqual(['temporal-v1.5.1']);
      expect((await find()).how).toBe('cache');
    } finally {
      server.close();
    }
  });

  test('is built with go where no download can be had, under a name that is never half made', async () => {
    const go = `#!/bin/sh
[ "$1" = version ] && { echo "go version go1.25.0"; exit 0; }
[ "$1 $3" = "install github.com/temporalio/cli/cmd/temporal@v1.5.1" ] || exit 9
echo 'a binary' > "$GOBIN/temporal"`;
    program('bin/go', go);
    const found = await find({ build: true, downloadService: 'http://127.0.0.1:1/cli' });
    expect(found).toEqual({ path: `${folder}/cache/temporal-v1.5.1/temporal`, how: 'built' });
    expect(readdirSync(path.join(folder, 'cache'))).toEqual(['temporal-v1.5.1']);
    expect(said.map((line) => line.replace(folder, '…'))).toEqual([
      'temporal: not on PATH',
      'temporal: not in …/cache/temporal-v1.5.1',
      expect.stringMatching(/^temporal: not downloaded \(.+\)$/),
      expect.stringContaining('building v1.5.1 with "go install"; about three minutes'),
    ]);
  });

  test('that is nowhere is an error which says every miss and what to install; nothing half made stays', async () => {
    program('bin/go', '#!/bin/sh\n[ "$1" = version ] && exit 0\necho "no such host" >&2\nexit 1\n');
    await expect(find({ build: true })).rejects.toThrow(
      /not on PATH; not in .*; not built \("go install" failed: no such host\)\. Nothing was started\. Install the Temporal CLI v1\.5\.1 or later.*Go 1\.25.*PG_UNWIND_TEMPORAL/,
    );
    expect(readdirSync(path.join(folder, 'cache'))).toEqual([]);
  });
});
