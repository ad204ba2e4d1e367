import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { openClient } from '../../support/gate.js';
import { withClient } from '../../support/postgres.js';
import { stepsOf, type Trigger } from './case.js';
import { standingAt, type Stage } from './stage.js';

/** What keeps the moment: told when it is there, and when the fault has been played. */
interface Release {
  atWork(): void;
  played(): Promise<void>;
}

const NOTHING_KEPT: Release = { atWork: () => undefined, played: () => Promise.resolve() };

/** Waits until the moment is there, or the run has ended. */
export async function moment(stage: Stage, when: Trigger): Promise<Release> {
  let release = NOTHING_KEPT;
  if (when.kind !== 'after') {
    const standing = standingAt(stage, when.database);
    await withClient(standing.database.superuserUrl, async (client) => {
      if (!(await hasJournal(stage, client))) return;
      if (when.kind === 'in') {
        release = await atWork(stage, client, when);
        return;
      }
      const wanted = Math.ceil((stepsOf(stage.context.test, standing.model).length * when.percent) / 100);
      while (!stage.isOver() && (await doneIn(client)) < wanted) await pause(10);
    });
  }
  if (!stage.isOver()) await pause(when.ms);
  return release;
}

async function hasJournal(stage: Stage, client: pg.Client): Promise<boolean> {
  while (!stage.isOver()) {
    const { rows } = await client.query<{ there: boolean }>(
      `select to_regclass('pgunwind.fingerprint') is not null as there`,
    );
    if (rows[0]?.there === true) return true;
    await pause(10);
  }
  return false;
}

async function doneIn(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `select count(distinct migration)::integer as n from pgunwind.step where state <> 'started'`,
  );
  return rows[0]?.n ?? 0;
}

/** The steps of the newest plan, and whether they are done. */
const PLANNED = `select p.seq, p.execution,
       exists (select from pgunwind.step s where s.migration = p.migration and s.state <> 'started') as done
  from pgunwind.plan_step p
 where p.plan = (select r.plan from pgunwind.run r order by r.planned_at desc limit 1)
 order by p.seq`;

const WORKING = `select from pg_stat_activity
 where datname = current_database() and state = 'active' and application_name like 'pgu:%:' || $1
   and ($2 <> 'concurrent' or query ~* 'concurrently|finalize')`;

/** A step that does not come to this within that time waits for something else. */
const WITHIN_MS = 6_000;

interface Planned {
  readonly seq: number;
  readonly execution: string;
  readonly done: boolean;
}

async function atWork(stage: Stage, client: pg.Client, when: Extract<Trigger, { kind: 'in' }>): Promise<Release> {
  let release = NOTHING_KEPT;
  let since: number | null = null;
  while (!stage.isOver()) {
    const { rows } = await client.query<Planned>(PLANNED);
    const step = rows[when.step % Math.max(1, rows.length)];
    if (step?.done === true) break;
    const isNext = step !== undefined && rows.every(({ seq, done }) => seq >= step.seq || done);
    if (step !== undefined && isNext) {
      if (since === null && step.execution === 'concurrent') release = await keepOpen(stage, when.database);
      since ??= performance.now();
      if (((await client.query(WORKING, [step.seq, step.execution])).rowCount ?? 0) > 0) break;
      if (performance.now() - since > WITHIN_MS) break;
    }
    await pause(since === null ? 10 : 2);
  }
  release.atWork();
  return release;
}

/** An abort waits for the statement, so it must not wait for the abort. */
const KEPT_MS = 2_000;

/** Such statements wait for every transaction that could change the table: one that only says so keeps them from ending. */
async function keepOpen(stage: Stage, database: number): Promise<Release> {
  const client = await openClient(standingAt(stage, database).database);
  await client.query(`set statement_timeout = 3000`);
  await client.query('begin');
  await client.query('lock table base in row exclusive mode').catch(() => undefined); // somebody else has it: as well
  let ending: Promise<void> | null = null;
  const end = () => (ending ??= client.end());
  return {
    played: end,
    // From when the statement waits; before, it is not there yet.
    atWork: () => void stage.beside.push(pause(KEPT_MS).then(end)),
  };
}
