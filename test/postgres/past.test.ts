import { afterEach, expect, test } from 'vitest';
import { historyText } from '../../src/cli/commands/history.js';
import { entryText } from '../../src/cli/past-text.js';
import type { OpenInstance } from '../../src/instance/instances.js';
import { pastLog, pastRuns } from '../../src/instance/past.js';
import { endRun, recordDecision } from '../../src/journal/runs.js';
import { expectNoLeaks } from '../support/postgres.js';
import { stage, type Stage } from '../support/stage.js';
import { collectingTerminal } from '../unit/cli/collecting-terminal.js';

let staged: Stage;
afterEach(async () => {
  await expectNoLeaks(staged.database);
  await staged.close();
});

const { colors } = collectingTerminal();

function open(...databases: OpenInstance['databases']): OpenInstance {
  return {
    config: { name: 'test' } as OpenInstance['config'], // all that is asked of it here
    databases,
    database: (name) => databases.find((database) => database.name === name)!,
    catalog: () => Promise.reject(new Error('not part of this test')),
  };
}

const ALL = { run: null, database: null, failuresOnly: false, last: 200 };

async function decide(by: string): Promise<void> {
  const decision = { run: staged.run, plan: null, kind: 'retryStep', by, why: 'made room', details: {} };
  await staged.instance.sessions.withSession(({ client }) =>
    recordDecision(client, { ...decision, at: new Date().toISOString() }),
  );
}

test('the log tells steps, failures in the words of the server, decisions and the end, in their order', async () => {
  staged = await stage([
    { migration: '10002', text: 'insert into full_up values (1)' },
    { migration: '10001', text: 'select 1' },
  ]);
  await expect(staged.apply(1)).rejects.toThrow();
  await decide('eve');
  await staged.database.query('create table full_up (n integer)');
  await staged.apply(1, { attempt: 2 });
  await staged.apply(2);
  await staged.instance.sessions.withSession(({ client }) => endRun(client, staged.run, 'completed'));

  const { entries, unread } = await pastLog(open(staged.instance), ALL);
  expect(unread).toEqual({});
  expect(entries.map(({ kind, seq }) => `${kind} ${seq ?? ''}`.trim())).toEqual([
    'planned',
    'claimed',
    'failure 1',
    'decision',
    'step 1',
    'step 2',
    'ended',
  ]);
  const lines = entries.map((entry) => entryText(entry, 8, colors));
  expect(lines[2]).toMatch(
    /frontend {2}step 1 10002 10002 failed \(attempt 1, statement 1\): 42P01\n {4}relation "full_up" does not exist/,
  );
  expect(lines[3]).toMatch(/decided: retryStep by eve: made room$/);
  expect(lines[4]).toMatch(/step 1 10002 10002 ↓ done, \d+ ms, attempt 2$/);
  expect(lines[6]).toMatch(/run completed$/);

  const failures = await pastLog(open(staged.instance), { ...ALL, failuresOnly: true });
  expect(failures.entries.map(({ kind }) => kind)).toEqual(['failure']);
  const newest = await pastLog(open(staged.instance), { ...ALL, last: 2 });
  expect(newest.entries.map(({ kind }) => kind)).toEqual(['step', 'ended']);
  const other = await pastLog(open(staged.instance), { ...ALL, run: 'ffffffff' });
  expect(other.entries).toEqual([]);
});

test('the history has one line for a run of several databases, and the decision in all journals once', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  await decide('eve');
  await staged.apply(1);
  const { entries } = await pastRuns(open(staged.instance, { ...staged.instance, name: 'codeintel' }), 20);
  expect(entries).toMatchObject([
    { run: staged.run, state: 'open', stepsDone: 2, stepsTotal: 2, endedAt: null, decisions: [{ by: 'eve' }] },
  ]);
  expect(Object.keys(entries[0]!.databases)).toEqual(['frontend', 'codeintel']);
  const text = historyText('test', { entries, unread: {} }, colors);
  expect(text).toMatch(/between releases ↓ v1 +open +2\/2 +retryStep \(eve\)$/m);
  expect(text).toContain(`pg-unwind log test --run ${staged.run.slice(0, 8)}`);
  const kinds = ['pause', 'resume', 'pause', 'resume', 'retryStep', 'skipStep', 'setOptions', 'acceptDirty'];
  const many = kinds.map((kind) => ({ ...entries[0]!.decisions[0]!, kind, by: null }));
  const crowded = historyText('test', { entries: [{ ...entries[0]!, decisions: many }], unread: {} }, colors);
  expect(crowded).toMatch(/pause, resume, pause, resume, skipStep, acceptDirty, 2 more$/m);
});

test('a database out of reach is named and does not hide the others; one without a journal has no past', async () => {
  staged = await stage([{ migration: '10001', text: 'select 1' }]);
  const gone = { ...staged.instance, name: 'gone' };
  const broken = { ...gone, sessions: { ...gone.sessions, withSession: () => Promise.reject(new Error('no route')) } };
  const { entries, unread } = await pastRuns(open(staged.instance, broken), 20);
  expect(entries).toHaveLength(1);
  expect(unread).toEqual({ gone: 'no route' });
  expect(historyText('test', { entries, unread }, colors)).toContain('gone could not be read: no route');
  await expect(pastRuns(open(broken), 20)).rejects.toThrow('no route');

  await staged.database.query('drop schema pgunwind cascade');
  expect(await pastRuns(open(staged.instance), 20)).toEqual({ entries: [], unread: {} });
});
