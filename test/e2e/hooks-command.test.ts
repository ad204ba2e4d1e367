import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/until.js';
import { buildParts, isAlive, openParts } from './hooks-shop.js';

let parts: Awaited<ReturnType<typeof buildParts>>;
beforeAll(async () => {
  parts = await buildParts();
});
afterAll(() => parts.remove());

/** A script of the operator's, in the folder of the configuration; called by a relative path. */
async function script(name: string, text: string): Promise<string> {
  await writeFile(path.join(parts.folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return `./${name}`;
}
const said = (name: string) => readFile(path.join(parts.folder, name), 'utf8');
test('a command has the document on its standard input and the names in its environment', async () => {
  const turn = await script(
    'turn',
    'cat > turned.json; env | grep ^PG_UNWIND_ | sort > turned.env; echo "$1" > turned.word',
  );
  const shop = await openParts(parts.folder, { atStop: { command: [turn, '$(not a shell); "quoted"'] } });
  const run = await shop.down();
  const report = await run.unaided();
  expect(report).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(JSON.parse(await said('turned.json'))).toMatchObject({ hook: 'atStop', release: 'v2.0.0', next: 'v1.0.0' });
  expect(await said('turned.word')).toBe('$(not a shell); "quoted"\n');
  expect((await said('turned.env')).trim().split('\n')).toEqual([
    'PG_UNWIND_DIRECTION=down',
    'PG_UNWIND_FROM=v3.0.0',
    'PG_UNWIND_HOOK=atStop',
    `PG_UNWIND_IDEMPOTENCY_KEY=${report.run}-atStop-1`,
    `PG_UNWIND_INSTANCE=${shop.name}`,
    'PG_UNWIND_NAMESPACE=default',
    'PG_UNWIND_NEXT=v1.0.0',
    'PG_UNWIND_RELEASE=v2.0.0',
    'PG_UNWIND_TO=v1.0.0',
    `PG_UNWIND_WORKFLOW_ID=${run.workflowId}`,
  ]);
});

test('a command that asks to be called again is; one that fails parks with the end of what it said', async () => {
  const turn = await script(
    'again',
    'echo >> again.calls; [ "$(wc -l < again.calls)" -ge 2 ] || exit 75; head -c 40000 /dev/zero | tr "\\0" "x" >&2; echo " no such image" >&2; exit 3',
  );
  const shop = await openParts(parts.folder, { atStop: { command: [turn] } });
  const run = await shop.down();
  const { parked } = await run.inState('needsOperator');
  expect(parked[0]?.message).toMatch(/ended with exit code 3: …x+ no such image\. The databases stand at v2\.0\.0/);
  expect(parked[0]?.message.length).toBeLessThan(1_200);
  expect((await said('again.calls')).length).toBe(2);
  await script('again', 'exit 0');
  await run.update('retryStep');
  expect((await run.unaided()).outcome).toBe('completed');
});

test('a command that does not exist, or may not be run, parks at once', async () => {
  await writeFile(path.join(parts.folder, 'no-program'), 'text', { mode: 0o644 });
  for (const [program, why] of [
    ['./not-there', '"./not-there" does not exist'],
    ['./no-program', '"./no-program" cannot be started (EACCES)'],
  ] as const) {
    const shop = await openParts(parts.folder, { before: { command: [program] } });
    const run = await shop.down();
    expect((await run.inState('needsOperator')).parked[0]?.message).toContain(why);
    await run.update('abort');
    await run.report;
  }
});

test('a command that hangs is ended with all that it has started, when its time is over and when the run is aborted', async () => {
  const turn = await script(
    'hang',
    'trap "" TERM; sleep 600 & echo $! >> hang.pids; echo $$ >> hang.pids; wait; sleep 600',
  );
  const shop = await openParts(parts.folder, { atStop: { command: [turn], timeoutSeconds: 1, attempts: 1 } });
  const pidsOf = async () =>
    existsSync(path.join(parts.folder, 'hang.pids')) ? (await said('hang.pids')).trim().split('\n').map(Number) : [];
  const run = await shop.down();
  expect((await run.inState('needsOperator')).parked[0]?.message).toContain('was ended after 1 s');
  expect((await pidsOf()).filter(isAlive)).toEqual([]);
  await run.update('abort');
  await run.report;

  const patient = await openParts(parts.folder, { atStop: { command: [turn] } });
  const second = await patient.down();
  await until(async () => (await pidsOf()).length === 4, { describe: 'the command to run', within: 30_000 });
  expect((await pidsOf()).filter(isAlive)).toHaveLength(2);
  await second.update('abort');
  expect(await second.report).toMatchObject({ outcome: 'aborted', standsAt: 'v2.0.0' });
  expect((await pidsOf()).filter(isAlive)).toEqual([]);
});

test('what a command has started has three seconds to end well, also where the command itself is gone at once', async () => {
  // The shell has no trap and dies of the signal; the program that it waits for has something to put in order.
  const inner = await script(
    'inner',
    'trap "sleep 1; echo in order > inner.end; exit 0" TERM; echo > inner.begun; while :; do sleep 0.1; done',
  );
  const turn = await script('outer', `${inner}; true`);
  const shop = await openParts(parts.folder, { before: { command: [turn] } });
  const run = await shop.down();
  await until(() => existsSync(path.join(parts.folder, 'inner.begun')), {
    describe: 'the command to run',
    within: 30_000,
  });
  await run.update('abort');
  expect(await run.report).toMatchObject({ outcome: 'aborted' });
  expect(existsSync(path.join(parts.folder, 'inner.end'))).toBe(true);
});

test('a cancel of the workflow ends the command, and the run is recorded as cancelled', async () => {
  const turn = await script('cancelled', 'echo $$ > cancelled.pid; exec sleep 600');
  const shop = await openParts(parts.folder, { before: { command: [turn] } });
  const run = await shop.down();
  const pid = await until(
    async () => existsSync(path.join(parts.folder, 'cancelled.pid')) && Number(await said('cancelled.pid')),
    { describe: 'the command to run', within: 30_000 },
  );
  await run.handle.cancel();
  await expect(run.report).rejects.toThrow();
  expect(isAlive(pid)).toBe(false);
  expect(await shop.database.query(`select state from pgunwind.run where instance = '${shop.name}'`)).toEqual([
    { state: 'cancelled' },
  ]);
});

test('a worker that stops ends its command, and the next one calls it again with the same key', async () => {
  const turn = await script(
    'stopped',
    'echo "$PG_UNWIND_IDEMPOTENCY_KEY $$" >> stopped.calls; [ "$(wc -l < stopped.calls)" -ge 2 ] || exec sleep 600',
  );
  const calls = async () =>
    existsSync(path.join(parts.folder, 'stopped.calls')) ? (await said('stopped.calls')).trim().split('\n') : [];
  const shop = await openParts(parts.folder, { atStop: { command: [turn] } });
  const run = await shop.down();
  await until(async () => (await calls()).length === 1, { describe: 'the command to run', within: 30_000 });
  await shop.engine.restart();
  expect(isAlive(Number((await calls())[0]?.split(' ')[1]))).toBe(false);
  expect((await run.unaided()).outcome).toBe('completed');
  const keys = (await calls()).map((line) => line.split(' ')[0]);
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
});

test('what a command that has ended well leaves running is left alone', async () => {
  const start = await script('start', 'sleep 600 & echo $! > started.pid');
  const shop = await openParts(parts.folder, { after: { command: [start] } });
  const run = await shop.down({ via: ['v1.0.0'] });
  expect((await run.unaided()).outcome).toBe('completed');
  const pid = Number(await said('started.pid'));
  expect(isAlive(pid)).toBe(true);
  process.kill(pid, 'SIGKILL');
});
