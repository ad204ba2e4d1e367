import { mkdtemp, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { parseConfig } from '../../../src/config/load.js';
import type { UnwindReport } from '../../../src/contract/messages.js';
import { createEngine } from '../../../src/instance/engine.js';
import { serverUrl, withClient } from '../../support/postgres.js';
import { startProxy } from '../../support/wire-proxy.js';
import { describeCase, labelOf, type Case } from './case.js';
import { Finding, newTally, type CaseContext, type Tally, type TemporalOfCases } from './context.js';
import { playFaults } from './faults.js';
import { operate } from './operator.js';
import { judge, judgeHistory, judgeLeaks } from './oracle.js';
import { buildProduct, configOf, INSTANCE, urlVariable } from './product.js';
import { controlRun, type RunControl } from './run-control.js';
import { standUp, type Standing } from './start-state.js';
import { insideWorkers, processWorkers, type Workers } from './workers.js';

/** A run that has not ended so long after the last fault or answer hangs: retries back off to 30 seconds. */
const HANGS_AFTER_MS = 100_000;

/** Carries out one case on databases of its own. @throws {Finding} with the case and all evidence. */
export async function runCase(test: Case, temporal: TemporalOfCases): Promise<Tally> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-random-'));
  const standings: Standing[] = [];
  const postgresProxy = await startProxy({ port: Number(new URL(serverUrl()).port), wire: true });
  const temporalProxy = await startProxy({ port: Number(temporal.address.split(':').at(-1)), wire: false });
  try {
    for (const model of test.databases) standings.push(await standUp(test, model));
    await buildProduct(test, folder);
    const taskQueue = `random-${randomUUID()}`;
    const context: CaseContext = {
      test,
      folder,
      config: configOf(test),
      env: Object.fromEntries(
        standings.map(({ model, database }) => [urlVariable(model.name), postgresProxy.url(database.url)]),
      ),
      postgresProxy,
      temporalProxy,
      temporalAddress: `127.0.0.1:${temporalProxy.port}`,
      temporal,
      taskQueue,
      workflowId: `unwind/${taskQueue}`,
      standings,
      tally: newTally(),
      begun: new Set(),
    };
    await carryOut(context, test.workers === 'inside' ? insideWorkers(context) : processWorkers(context));
    return context.tally;
  } finally {
    await Promise.all([postgresProxy.close(), temporalProxy.close()]);
    for (const { database } of standings) await database.drop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function carryOut(context: CaseContext, workers: Workers): Promise<void> {
  const consent = context.test.consent === 'input' ? await planId(context) : null;
  const control = controlRun(context, () => consent);
  try {
    try {
      await workers.start();
      await control.start();
      const report = await conduct(context, control, workers);
      expectArrived(context, report);
      await judge(context);
      await judgeHistory(context, control.handle);
    } catch (error) {
      throw await withEvidence(context, control, workers, error);
    } finally {
      await control.handle.terminate('the case has ended').catch(() => undefined);
      await workers.close();
    }
    await judgeLeaks(context);
  } catch (error) {
    if (error instanceof Finding && error.message.includes('\nThe case:')) throw error;
    throw new Finding(`${messageOf(error)}\nThe case: ${describeCase(context.test)}`, { cause: error });
  }
}

async function planId({ config, folder, env, test }: CaseContext): Promise<string> {
  const engine = createEngine({ config: parseConfig(config, path.join(folder, 'pg-unwind.yaml')), env });
  try {
    const { plan } = await engine.plan({ instance: INSTANCE, to: labelOf(test.target), direction: test.direction });
    return plan.id;
  } finally {
    await engine.close();
  }
}

/** Plays the faults beside the run and answers it, until it has ended and nothing will start it again. */
async function conduct(context: CaseContext, control: RunControl, workers: Workers): Promise<UnwindReport> {
  let over = false;
  let trouble: unknown = null;
  let deadline = performance.now() + HANGS_AFTER_MS;
  let played = 0;
  const playing = playFaults({ context, control, workers, beside: [], isOver: () => over }).catch((error: unknown) => {
    trouble = error;
  });
  try {
    for (;;) {
      if (trouble !== null) throw trouble;
      const faults = [...context.tally.faults.values()].reduce((sum, number) => sum + number, 0);
      if (faults !== played || control.changes().now > 0) deadline = performance.now() + HANGS_AFTER_MS;
      played = faults;
      if (performance.now() > deadline) throw new Finding(`nothing happened for ${HANGS_AFTER_MS / 1000} seconds`);
      const before = control.changes();
      const ending = before.now > 0 ? null : await control.ending();
      const same = control.changes().ever === before.ever && control.changes().now === 0;
      if (ending !== null && same) {
        over = true;
        await playing;
        if (trouble !== null) throw trouble;
        if (ending !== 'COMPLETED') throw new Finding(`the run ended as ${ending}`);
        return (await control.handle.result()) as UnwindReport;
      }
      if (same) {
        const status = await control.status();
        if (status !== null && control.changes().ever === before.ever) {
          if (await operate(context, control, status)) deadline = performance.now() + HANGS_AFTER_MS;
        }
      }
      await pause(100);
    }
  } finally {
    over = true;
    await playing;
  }
}

function expectArrived({ test }: CaseContext, report: UnwindReport): void {
  const there = report.outcome === 'completed' || report.outcome === 'alreadyThere';
  if (there && report.stepsDone === report.stepsTotal && report.to === labelOf(test.target)) return;
  throw new Finding(`the report is not that of a run that arrived: ${inspect(report, { depth: 6 })}`);
}

const EVIDENCE = {
  runs: `select run, direction, target, workflow_id, state, planned_at, claimed_at, ended_at from pgunwind.run order by planned_at`,
  steps: `select run, seq, migration, direction, execution, state, unit, attempt, pid, intent, ledger_row, result, started_at, finished_at from pgunwind.step order by started_at`,
  failures: `select at, seq, attempt, sqlstate, statement, message, detail from pgunwind.failure order by id`,
  fence: `select * from pgunwind.fence`,
  ledger: `select id, version, up, started_at, finished_at, success from migration_logs order by id desc limit 40`,
  witness: `select what, xid, pid, at from witness order by at`,
  sessions: `select pid, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid) as blocked_by, left(query, 120) as query
               from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  locks: `select pid, classid, objid, granted from pg_locks where locktype = 'advisory'`,
} as const;

async function withEvidence(
  context: CaseContext,
  control: RunControl,
  workers: Workers,
  error: unknown,
): Promise<Finding> {
  const parts = [messageOf(error), `The case: ${describeCase(context.test)}`];
  const add = (title: string, value: unknown) =>
    parts.push(`${title}: ${inspect(value, { depth: 8, maxArrayLength: 200, breakLength: 200 })}`);
  add('Begun', [...context.begun]);
  add('Played', [...context.tally.faults]);
  add('Answered', [...context.tally.operator]);
  add('Status', await control.status());
  add('Temporal', await control.ending().catch(messageOf));
  for (const { model, database } of context.standings) {
    for (const [title, text] of Object.entries(EVIDENCE)) {
      const rows = await withClient(
        database.superuserUrl,
        async (client) => (await client.query(text)).rows as unknown[],
      );
      add(`${model.name} ${title}`, rows);
    }
  }
  parts.push(`Worker: ${workers.tail()}`);
  return new Finding(parts.join('\n'), { cause: error });
}

const messageOf = (error: unknown) =>
  error instanceof Finding ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
