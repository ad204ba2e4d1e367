// Probes in which the worker dies in the middle of a script.
import { expectThat, firstLine, seconds, until } from './stage.mjs';

const BASE = {
  id: 1,
  name: 'jobs',
  up: `create table jobs (id integer primary key, state text, note text);
create table witness (n serial, what text);`,
  down: `drop table witness;
drop table jobs;`,
};
const saw = (id) => `insert into witness (what) values ('${id} down');`;

/** v2.0.0 has one migration below the probed one and one above it. */
export const around = (probed) => ({
  'v1.0.0': [BASE],
  'v2.0.0': [
    BASE,
    { id: 2, name: 'archive', up: 'create table archive (id integer);', down: `drop table archive;\n${saw(2)}` },
    { id: 3, ...probed },
    { id: 4, name: 'notes', up: 'create table notes (id integer);', down: `drop table notes;\n${saw(4)}` },
  ],
});

const SEED = `insert into jobs (id, state, note) select g, 'done', 'n' || g from generate_series(1, 1000) g`;
const WITNESS = `select string_agg(what, ', ' order by n) as took_effect from witness`;
const LEDGER = 'select version, up, success from migration_logs where not up order by id';

export async function start(stage) {
  const plan = await stage.planId('v1.0.0');
  await stage.cli(`downgrade acme --to v1.0.0 --accept-data-loss ${plan} --by eve`, {
    shown: firstLine,
  });
}

/** Everything was undone, each script once, in order; and the product's own ledger says so. */
export async function endsWell(stage, worker) {
  await stage.inState('completed');
  if (worker) worker.log();
  await stage.cli('status acme');
  const [{ took_effect: effects }] = await stage.sql(WITNESS);
  expectThat(effects === '4 down, 3 down, 2 down', `each down takes effect once, in order: ${effects}`);
  const downs = await stage.sql(LEDGER);
  expectThat(
    downs.map(({ version, success }) => `${version} ${success}`).join() === '4 true,3 true,2 true',
    'the ledger has each down once',
  );
}

const after = (from, to) => `${seconds(to - from)} after the kill`;

export const killTransactional = {
  id: 'kill-transactional',
  releases: around({
    name: 'priority',
    up: 'alter table jobs add priority integer default 5;',
    down: `alter table jobs drop priority;\n${saw(3)}\nselect pg_sleep(8);`,
  }),
  async play(stage) {
    const first = await stage.atNewest();
    await stage.ask(SEED);
    stage.showDown(3);
    await start(stage);
    const pid = await stage.backend('the script', SLEEPS);
    stage.note('The column is dropped, the transaction open: it holds ACCESS EXCLUSIVE on jobs, and sleeps for 8 s.');
    const killed = await first.kill();
    const replaced = stage.worker();
    const application = 'select count(priority) as with_priority from jobs';
    const answer = await stage.ask(application);
    const answered = performance.now();
    await stage.backendGone(pid);
    const gone = performance.now();
    stage.note('An application asks at that moment:');
    stage.answered(application, answer);
    stage.note(
      `It was answered ${after(killed, answered)}. The dead worker's session was gone ${after(killed, gone)}.`,
    );
    expectThat(answer.rows[0].with_priority === '1000', 'the dead transaction left nothing');
    expectThat(
      answered - killed < 4_000,
      `the answer does not wait for the end of the script: ${after(killed, answered)}`,
    );
    const second = await replaced;
    await stage.backend('the script again', SLEEPS);
    stage.note(
      `Worker 2 was started with the kill. Nobody types anything. The script runs again ${after(killed, performance.now())}.`,
    );
    await endsWell(stage, second);
  },
};
const SLEEPS = `wait_event = 'PgSleep'`;

/** A down of three statements; the second refuses a transaction and waits for every older one. */
const report = {
  name: 'report',
  up: `create table report (id integer);
create index jobs_state on jobs (state);`,
  down: `drop table report;
drop index concurrently jobs_state;
${saw(3)}`,
};
const PARTS = `select migration, state, unit as parts_done, attempt from pgunwind.step where migration = '3' and direction = 'down'`;

/** Kills the worker while the second statement waits for somebody's transaction. */
async function killInConcurrently(stage) {
  const first = await stage.atNewest();
  await stage.ask(SEED);
  stage.showDown(3);
  const older = await stage.session();
  await older.query('begin; insert into jobs (id) values (100000)');
  await start(stage);
  const pid = await stage.backend(
    'the statement',
    `wait_event_type = 'Lock' and query ilike '%drop index concurrently%'`,
  );
  stage.note(
    '"drop table report" is done and cannot be taken back; "drop index concurrently" waits for an older transaction.',
  );
  await stage.sql(PARTS);
  return { older, pid, killed: await first.kill() };
}

export const killNonTransactional = {
  id: 'kill-non-transactional',
  releases: around(report),
  async play(stage) {
    const { older, pid, killed } = await killInConcurrently(stage);
    await older.query('commit');
    await older.end();
    await stage.backendGone(pid);
    stage.note('The older transaction ends; the server finishes the statement, though nobody is there to hear of it.');
    const [left] = await stage.sql(`select to_regclass('report') as report, to_regclass('jobs_state') as jobs_state`);
    expectThat(left.report === null && left.jobs_state === null, 'the server went on without its client');
    await stage.sql(LEDGER);
    const second = await stage.worker();
    stage.note('Worker 2 is started. Nobody types anything.');
    const done = await second.says(/ 3 report down probed/);
    await endsWell(stage, second);
    stage.note(`Migration 3 was done ${after(killed, done)}: looked for, found gone, not dropped again.`);
  },
};

export const killOrphan = {
  id: 'kill-orphan',
  releases: around(report),
  async play(stage) {
    const { older, pid, killed } = await killInConcurrently(stage);
    const second = await stage.worker();
    stage.note(
      "The older transaction stays open, so the dead worker's session stays too. Worker 2 is started, and meets it:",
    );
    const describe = 'temporal workflow describe --workflow-id unwind/acme';
    await until('the second worker to look', async () => ORPHAN.test(await stage.quietly(describe)));
    const met = performance.now();
    await stage.cli(describe, {
      shown: (text) =>
        text
          .split('\n')
          .filter((line) => SHOWN.test(line))
          .join('\n'),
    });
    await older.query('commit');
    await older.end();
    await stage.backendGone(pid);
    stage.note(`That was ${after(killed, met)}. Now the older transaction ends. Nobody types anything.`);
    await second.says(/ 3 report down probed/);
    await endsWell(stage, second);
  },
};
const ORPHAN = /index statement of an earlier attempt still runs/;
const SHOWN = /LastHeartbeat|HeartbeatDetails|ActivityId/;
