import type { WorkflowHandle } from '@temporalio/client';
import type pg from 'pg';
import { sourcegraphLedger } from '../../../src/journal/ledgers/sourcegraph.js';
import { expectNoLeaks, withClient } from '../../support/postgres.js';
import { untilSeen } from '../../support/until.js';
import { idsOf, stepsOf } from './case.js';
import { count, Finding, type CaseContext } from './context.js';
import { ledgerOf } from './product.js';
import { scriptOf } from './scripts.js';
import { schemaOf, type Standing } from './start-state.js';

/** Everything that must hold when a run has ended. Throws one finding with all that does not. */
export async function judge(context: CaseContext): Promise<void> {
  const problems: string[] = [];
  for (const standing of context.standings) {
    const found = await withClient(standing.database.url, (client) => problemsOf(context, standing, client));
    problems.push(...found.map((problem) => `${standing.model.name}: ${problem}`));
  }
  if (problems.length > 0) throw new Finding(problems.join('\n'));
}

const LEFT = `select a.pid, a.application_name, a.state, a.wait_event, a.xact_start, left(a.query, 200) as query,
       array(select format('%s %s', l.classid, l.objid) from pg_locks l where l.pid = a.pid and l.locktype = 'advisory') as locks
  from pg_stat_activity a
 where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'`;

/** A server notices that a client is gone when it looks, every two seconds while a statement runs. */
const GONE_WITHIN_MS = 15_000;

/** When the workers are gone too: nothing of ours is left on the server, nor of anybody's. */
export async function judgeLeaks({ standings, begun }: CaseContext): Promise<void> {
  for (const { database } of standings) {
    await withClient(database.superuserUrl, async (client) => {
      const seen = async () => (await client.query<{ pid: number }>(LEFT)).rows;
      // The far ends of connections that have gone silent: a server finds them by its keep-alives, after minutes.
      if (begun.has('network')) {
        for (const { pid } of await seen()) await client.query('select pg_terminate_backend($1)', [pid]);
      }
      await untilSeen(seen, (rows) => rows.length === 0, {
        describe: 'no session to be left',
        within: GONE_WITHIN_MS,
      }).catch((error: unknown) => {
        throw new Finding(error instanceof Error ? error.message : String(error));
      });
    });
    await expectNoLeaks(database).catch((error: unknown) => {
      throw new Finding(error instanceof Error ? error.message : String(error));
    });
  }
}

/** Temporal gets references and hashes: no text of a script, no password. */
export async function judgeHistory({ standings }: CaseContext, handle: WorkflowHandle): Promise<void> {
  const { events } = await handle.fetchHistory();
  const text = readable(events);
  const secrets = standings.map(({ database }) => decodeURIComponent(new URL(database.url).password));
  for (const word of ['insert into witness', 'drop table', 'create table', ...secrets.filter((it) => it.length > 3)]) {
    if (text.includes(word))
      throw new Finding(`the history has "${secrets.includes(word) ? 'the password' : word}" in it`);
  }
}

function readable(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (typeof value === 'object' && value !== null) return Object.values(value).map(readable).join('\n');
  return typeof value === 'string' ? value : '';
}

async function problemsOf(context: CaseContext, standing: Standing, client: pg.Client): Promise<string[]> {
  return [
    ...(await ledgerProblems(context, standing, client)),
    ...(await journalProblems(context, standing, client)),
    ...(await witnessProblems(context, standing, client)),
    ...(await schemaProblems(standing, client)),
  ];
}

async function ledgerProblems({ test }: CaseContext, { model }: Standing, client: pg.Client): Promise<string[]> {
  const reading = await sourcegraphLedger.read(client, ledgerOf(model));
  const applied = [...(reading?.applied ?? [])].map(Number).sort((a, b) => a - b);
  const wanted = idsOf(model, test.target).sort((a, b) => a - b);
  const open = [...(reading?.states ?? [])].filter(([, state]) => state !== 'applied' && state !== 'absent');
  return [
    ...(String(applied) === String(wanted) ? [] : [`the ledger has ${String(applied)} instead of ${String(wanted)}`]),
    ...open.map(([id, state]) => `the ledger calls ${id} ${state}`),
  ];
}

interface StepRow {
  readonly migration: string;
  readonly direction: string;
  readonly state: string;
  readonly how: string | null;
  readonly attempt: number;
}

async function journalProblems(context: CaseContext, { model }: Standing, client: pg.Client): Promise<string[]> {
  const { test, tally, begun } = context;
  const problems: string[] = [];
  const { rows } = await client.query<StepRow>(
    `select migration, direction, state, result ->> 'how' as how, attempt from pgunwind.step`,
  );
  const steps = stepsOf(test, model);
  for (const { id, kind } of steps) {
    const own = rows.filter(({ migration, direction }) => migration === String(id) && direction === test.direction);
    const done = own.filter(({ state }) => state === 'done').length;
    const settled = own.filter(({ state }) => state === 'settled').length;
    const maySettle = kind === 'opaque' || kind === 'bound';
    if (done + (maySettle ? settled : 0) !== 1 || own.length !== 1) {
      problems.push(
        `the journal has ${id} ${own.map(({ state }) => state).join(', ') || 'not at all'} instead of done once`,
      );
    }
    for (const { how, attempt } of own) {
      if (how === 'resumed' || how === 'probed') count(tally.recoveries, how);
      else if (attempt > 1) count(tally.recoveries, 'later attempt');
    }
  }
  const strange = rows.filter(({ migration }) => !steps.some(({ id }) => String(id) === migration));
  problems.push(
    ...strange.map(({ migration, direction }) => `the journal has ${migration} ${direction}, which was not planned`),
  );
  const open = await client.query<{ run: string }>(
    'select run from pgunwind.run where ended_at is null and claimed_at is not null',
  );
  problems.push(...open.rows.map(({ run }) => `the run ${run} is open in the journal`));
  const fence = await client.query<{ token: string }>('select token from pgunwind.fence where token is not null');
  // Of an execution that is terminated, a reset's included, the claim stays until the next run takes it (docs/operations.md).
  const terminated = begun.has('terminateRun') || begun.has('resetRun');
  if (!terminated) problems.push(...fence.rows.map(() => 'a fence token is left'));
  return problems;
}

async function witnessProblems({ test }: CaseContext, { model }: Standing, client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ what: string; times: number }>(
    'select what, count(*)::integer as times from witness group by what',
  );
  const seen = new Map(rows.map(({ what, times }) => [what, times]));
  const problems: string[] = [];
  const wanted = new Set<string>();
  for (const migration of stepsOf(test, model)) {
    for (const { witness } of scriptOf(migration, test.direction).segments) {
      for (const what of witness) {
        wanted.add(what);
        const times = seen.get(what) ?? 0;
        if (times !== 1) problems.push(`"${what}" took effect ${times} times`);
      }
    }
  }
  for (const [what, times] of seen) {
    // A half-built index of ours is dropped before it is built again; that a whole one is not, its "create" row tells.
    const cure = test.direction === 'up' && what.startsWith('drop i');
    if (!wanted.has(what) && !cure) problems.push(`"${what}" took effect ${times} times and was not planned`);
  }
  return problems;
}

async function schemaProblems({ wanted }: Standing, client: pg.Client): Promise<string[]> {
  const found = await schemaOf(client);
  const keys = [...new Set([...Object.keys(wanted), ...Object.keys(found)])].sort();
  const different = keys.filter((key) => wanted[key] !== found[key]);
  const invalid = await client.query<{ name: string }>(
    'select indexrelid::regclass::text as name from pg_index where not (indisvalid and indisready and indislive)',
  );
  return [
    ...different.map((key) => `${key} is ${found[key] ?? 'not there'} instead of ${wanted[key] ?? 'not being there'}`),
    ...invalid.rows.map(({ name }) => `the index ${name} is invalid`),
  ];
}
