import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { StatusReport } from '../../src/contract/messages.js';
import { until } from '../support/until.js';
import { pgUnwind, type Ended } from './command-line.js';
import { openExampleShop, type ExampleShop } from './example-shop.js';

// Every update as a command, typed by an operator at a run that really stands there: one run up, one down, and none.

const instance = `updates-${randomBytes(4).toString('hex')}`;
let shop: ExampleShop;

const run = (...words: string[]): Promise<Ended> => pgUnwind(words, { PG_UNWIND_CONFIG: shop.configFile }).ended;
const runJson = async <T = StatusReport>(...words: string[]): Promise<T> =>
  JSON.parse((await run(...words, '--json')).out) as T;

/** In words, and as a document; nothing else on either stream. */
async function refused(code: string, message: RegExp, ...words: string[]): Promise<void> {
  const [, asJson] = await Promise.all([saidNo(message, ...words), run(...words, '--json')]);
  expect({ code: asJson.code, err: asJson.err }).toEqual({ code: 2, err: '' });
  expect(JSON.parse(asJson.out)).toMatchObject({ error: { code, message: expect.stringMatching(message) } });
}

async function saidNo(message: RegExp, ...words: string[]): Promise<void> {
  const { code, out, err } = await run(...words);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^error: /);
  expect(err).toMatch(message);
}

async function approveAsAsked(): Promise<void> {
  const { plan } = await shop.inState('awaitingApproval');
  expect((await run('approve', instance, '--plan', plan ?? '', '--by', 'eve')).code).toBe(0);
}

beforeAll(async () => {
  shop = await openExampleShop({ instance, at: 'v2.0.0', temporal: { ...inject('temporal'), taskQueue: instance } });
}, 240_000);
afterAll(() => shop?.close());

describe('a run up, to a stop', () => {
  test('what cannot be done where it stands is refused with the reason', async () => {
    expect((await run('upgrade', instance, '--to', 'v2.2.0', '--via', 'v2.1.0')).code).toBe(0);
    await shop.inState('awaitingApproval');
    await refused('UpdateRefused', /Nothing is parked[^]*"awaitingApproval"/, 'retry', instance);
    await saidNo(/The run is not paused/, 'resume', instance);
    await saidNo(/does not wait at a release/, 'continue', instance);
    await saidNo(/Nothing is parked at a dirty check/, ...accept('changedByOthers', 'x'));
    await saidNo(/No database is parked at a schema step/, ...skip('record', 'x'));
    await saidNo(/it was given no option/, 'set-options', instance, '--set', '{}');
  });

  test('a command line without what it needs is refused before anybody is asked', async () => {
    await refused('Usage', /required option '--why <text>'/, 'accept', instance, 'changedByOthers');
    await saidNo(/missing required argument 'code'/, 'accept', instance, '--why', 'x');
    await saidNo(/required option '--why <text>'/, 'skip', instance, '--ledger', 'keep');
    await saidNo(/required option '--ledger <how>'/, 'skip', instance, '--why', 'x');
    await saidNo(/Allowed choices are record, keep/, 'skip', instance, '--why', 'x', '--ledger', 'perhaps');
    await saidNo(/Allowed choices are now, boundary/, 'abort', instance, '--at', 'noon');
    await saidNo(/--set takes one JSON object/, 'set-options', instance, '--set', 'blockers=wait');
    await saidNo(/required option '--plan <id>'/, 'approve', instance);
  });

  test('options, a pause and its end are answered with the state', async () => {
    const options = await runJson('set-options', instance, '--set', '{"blockers":"terminateIdle"}', '--by', 'eve');
    expect(options).toMatchObject({ instance, options: { blockers: 'terminateIdle' } });
    await approveAsAsked();
    await shop.inState('atStop');
    const paused = await run('pause', instance, '--by', 'eve', '--why', 'the disk');
    expect({ code: paused.code, err: paused.err }).toEqual({ code: 0, err: '' });
    expect(paused.out).toMatch(/ paused [^]*pg-unwind resume /);
    await refused('UpdateRefused', /paused already, since/, 'pause', instance);
    expect(
      (await runJson('resume', instance, '--by', 'eve')).decisions.map(({ kind, by, why }) => [kind, by, why]),
    ).toEqual([
      ['setOptions', 'eve', null],
      ['approve', 'eve', null],
      ['pause', 'eve', 'the disk'],
      ['resume', 'eve', null],
    ]);
  });

  test('what two colleagues did at the stop parks both databases, and each is dealt with by its own command', async () => {
    await shop.query('orders', 'create index payments_by_method on payments (method)');
    await shop.query('insights', BY_HAND);
    await shop.inState('atStop');
    await refused('UpdateRefused', /waits at v2\.1\.0, not at "v2\.0\.0"/, 'continue', instance, '--release', 'v2.0.0');
    expect((await run('continue', instance, '--release', 'v2.1.0')).code).toBe(0);
    await shop.parkedAt(['insights', 'orders']);

    const status = await run('status', instance);
    expect(status.code).toBe(3);
    expect(status.out).toContain(`pg-unwind accept ${instance} changedByOthers --database orders --why '…'`);
    await refused('UpdateRefused', /Several databases are parked. Say which one/, 'retry', instance);
    await saidNo(/Several databases are parked at it/, ...accept('changedByOthers', 'x'));
    await saidNo(/"invalidIndex" was not found on "orders"/, ...accept('invalidIndex', 'x', 'orders'));
    await saidNo(/"frontend" is not parked at a schema step/, ...skip('record', 'x', 'frontend'));
    await saidNo(/ledger/, ...skip('keep', 'x', 'insights'));

    const accepted = await run(...accept('changedByOthers', 'the index stays', 'orders'));
    expect({ code: accepted.code, err: accepted.err }).toEqual({ code: 0, err: '' });
    expect(accepted.out).toContain(instance);
    const skipped = await runJson(...skip('record', 'ann did it', 'insights'));
    expect(skipped.decisions.slice(-2)).toEqual([
      expect.objectContaining({ kind: 'acceptDirty', by: 'eve', why: 'the index stays' }),
      expect.objectContaining({ kind: 'skipStep', by: 'eve', why: 'ann did it' }),
    ]);
    const ended = await untilEnded();
    expect(ended.out).toMatch(/taken over by eve: ann did it[^]*stands at v2\.2\.0: 19 of 19 steps done, verified\./);
    expect((await run('log', instance)).out).toMatch(/acceptDirty[^]*the index stays[^]*skipStep[^]*ann did it/);
  });
});

describe('a run down', () => {
  test('what cannot be accepted is mended, and retried', async () => {
    expect((await run('downgrade', instance, '--to', 'v2.0.0', '--via', 'v2.1.0')).code).toBe(0);
    await approveAsAsked();
    await shop.inState('atStop');
    await shop.query('orders', FAILED_ROW);
    expect((await run('continue', instance)).code).toBe(0);
    await shop.inState('needsOperator');
    await refused('UpdateRefused', /"failedLedgerRow" cannot be accepted/, ...accept('failedLedgerRow', 'x'));
    await shop.query('orders', 'delete from migration_logs where success = false');
    const retried = await run('retry', instance, '--why', 'the row was a mistake');
    expect({ code: retried.code, err: retried.err }).toEqual({ code: 0, err: '' });
    expect((await untilEnded()).out).toMatch(/stands at v2\.0\.0: 20 of 20 steps done, verified but for 1 difference/);
  });

  test('it is turned back, which asks for consent again, and ended instead', async () => {
    expect((await run('upgrade', instance, '--to', 'v2.2.0', '--via', 'v2.1.0')).code).toBe(0);
    await approveAsAsked();
    await shop.inState('atStop');
    const turned = await run('turn-back', instance, '--why', 'not today');
    expect({ code: turned.code, err: turned.err }).toEqual({ code: 0, err: '' });
    await shop.inState('awaitingApproval');
    const aborted = await run('abort', instance, '--at', 'boundary', '--why', 'stay here');
    expect({ code: aborted.code, err: aborted.err }).toEqual({ code: 0, err: '' });
    const status = await untilEnded();
    expect(status.code).toBe(4);
    expect(status.out).toContain('was stopped by an operator: 0 of');
  });
});

describe('a run that is over, or never was', () => {
  const none = () => [
    ['approve', instance, '--plan', 'f'.repeat(64)],
    ['retry', instance],
    [...accept('changedByOthers', 'x')],
    [...skip('record', 'x')],
    ['pause', instance],
    ['resume', instance],
    ['continue', instance],
    ['set-options', instance, '--set', '{"blockers":"wait"}'],
    ['abort', instance],
    ['turn-back', instance],
  ];

  test('every command says that there is none, and how one is started', async () => {
    const [first = [], ...others] = none();
    const said = /knows no open run of [^]*Nothing was done[^]*pg-unwind downgrade/;
    await refused('NoRun', said, ...first);
    for (const words of others) await saidNo(said, ...words);
    await refused('NoRun', /no open run of \S+ data migration 1/, 'pause', instance, '--data', '1');
    await refused('NoRun', /no open run of/, 'status', instance, '--data', '1');
  });

  test('an instance that nobody knows is named, with those that are known', async () => {
    await refused('UnknownInstance', /no instance "updates-nobody"[^]*updates-/, 'retry', 'updates-nobody');
    await refused('UnknownInstance', /no instance "updates-nobody"/, 'abort', 'updates-nobody');
  });
});

function accept(code: string, why: string, database?: string): string[] {
  return ['accept', instance, code, '--why', why, '--by', 'eve', ...(database ? ['--database', database] : [])];
}

function skip(ledger: string, why: string, database?: string): string[] {
  return [
    'skip',
    instance,
    '--ledger',
    ledger,
    '--why',
    why,
    '--by',
    'eve',
    ...(database ? ['--database', database] : []),
  ];
}

function untilEnded(): Promise<Ended> {
  return until(
    async () => {
      const ended = await run('status', instance);
      return / stands at | was stopped by /.test(ended.out) && ended;
    },
    { within: 60_000, describe: 'the end of the run' },
  );
}

/** What the up script of insights 1728000123 does. */
const BY_HAND = `alter table panels add column colour text not null default '#336699',
  add constraint panels_colour_form check (colour ~ '^#[0-9a-f]{6}$')`;

const FAILED_ROW = `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
select 2, schema, version, false, now(), now(), false from migration_logs where version = 1734709822 limit 1`;
