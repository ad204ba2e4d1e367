import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { writeConfig } from './config-file.mjs';
import { withClient } from './databases.mjs';
import { copyName } from './downgrade.mjs';
import { runData } from './product.mjs';
import { stageSteps } from './stage.mjs';
import { compileFolder } from './subject.mjs';
import { startWorker } from './worker-process.mjs';
import { runWorkflow } from './workflow.mjs';

const ID = '1';
/** The default of options.data.firstBatchRows. */
const FIRST_ROWS = 1_000;
const LOOK_EVERY_MS = 100;
/** Connections, caches and compiled code come with the first rows of any way; what grows after that, grows with the rows. */
const SETTLED_AFTER = 0.1;

const QUERIES = {
  progress: `select case when count(*) = 0 then 0 else (count(*) filter (where newer))::float8 / count(*) end from bench_rows`,
  batch: `with batch as (
  select id from bench_rows where id > coalesce($2::bigint, 0) order by id limit $1
), moved as (
  update bench_rows r set note = lower(r.note), newer = false from batch b where r.id = b.id and r.newer returning 1
)
select (select count(*) from moved) as rows, (select max(id) from batch) as cursor`,
  verify: null,
};

/** Everything in the newer form. No vacuum of the server's own comes between: it would come to one way and not to the other. */
const rowsOf = (count) => `
alter table bench_rows set (autovacuum_enabled = false);
insert into bench_rows select n, 'ROW NUMBER ' || n, true from generate_series(1, ${count}) n;
vacuum analyze bench_rows`;

/**
 * A data migration of `rows` rows back to the older form: by the engine without Temporal, by a bare loop of the very same batches
 * (begin, the author's query, commit), and as a workflow. Each on a copy of its own, which is gone before the next is made.
 */
export async function measureData({ bench, rows, folder }) {
  const { databases, say } = bench;
  const subject = await compileSubject(path.join(folder, 'data'));
  await databases.fill(subject);
  const on = async (what, work) => {
    const copy = copyName(`data ${what}`, subject.main);
    const url = bench.postgres.url(copy);
    await databases.copy(subject, { [subject.main]: copy });
    try {
      await withClient(url, async (client) => {
        for (const statement of rowsOf(rows).split(';')) await client.query(statement);
      });
      await databases.settle();
      const measured = await work(url);
      await expectMoved(url, rows);
      say(`${rows} rows back, ${what}: ${(measured.ms / 1_000).toFixed(1)} s`);
      return measured;
    } finally {
      await databases.drop({ copy });
    }
  };
  const engine = await on('engine', (url) => runEngineAlone(url, subject, rows));
  const bare = await on('bare loop', (url) => runBare(url, engine.sizes));
  const temporal = await on('Temporal', (url) => runWithTemporal(bench, subject, url, path.join(folder, 'data')));
  return { rows, batches: engine.sizes.length, engine, bare, temporal };
}

async function compileSubject(folder) {
  const releases = path.join(folder, 'releases');
  const script = (release, name, file, text) =>
    write(path.join(releases, release, 'migrations', 'frontend', name, file), text);
  for (const release of ['v1.0.0', 'v2.0.0']) {
    await script(release, '1_rows', 'metadata.yaml', 'name: rows\nparents: []\n');
    await script(
      release,
      '1_rows',
      'up.sql',
      'create table bench_rows (id bigint primary key, note text not null, newer boolean not null);',
    );
    await script(release, '1_rows', 'down.sql', 'drop table bench_rows;');
  }
  await script('v2.0.0', '2_mark', 'metadata.yaml', 'name: mark\nparents: [1]\n');
  await script('v2.0.0', '2_mark', 'up.sql', `comment on table bench_rows is 'newer';`);
  await script('v2.0.0', '2_mark', 'down.sql', 'comment on table bench_rows is null;');
  const indented = (text) => text.replaceAll(/^/gm, '        ');
  await write(
    path.join(releases, 'v2.0.0', 'migrations', 'data-migrations.yaml'),
    `dataMigrations:
  - id: ${ID}
    database: frontend
    description: Rows in the newer form
    introduced: v2.0.0
    sql:
      progress: |\n${indented(QUERIES.progress)}
      forward: |\n${indented(QUERIES.batch)}
      reverse: |\n${indented(QUERIES.batch)}
`,
  );
  return compileFolder(releases, folder, 'data');
}

async function write(file, text) {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}

/** As the activity does it, in this process; the sizes of its batches are what the bare loop repeats. */
async function runEngineAlone(url, subject, rows) {
  const stage = await stageSteps({ url, count: 0, key: subject.ledgerKey(subject.main) });
  try {
    await withClient(url, (client) =>
      client.query(`insert into pgunwind.plan_data select plan, 0, $2, 'reverse' from pgunwind.run where run = $1`, [
        stage.run,
        ID,
      ]),
    );
    const sizes = [];
    let batchRows = FIRST_ROWS;
    let batches = 0;
    let done = 0;
    const memory = watchMemory(
      () => process.memoryUsage.rss() / 2 ** 20,
      () => done / rows,
    );
    const { token } = stage;
    const order = {
      run: stage.run,
      leg: 0,
      database: 'bench',
      id: ID,
      act: 'reverse',
      queries: QUERIES,
      token,
      attempt: 1,
    };
    const began = performance.now();
    await runData(stage.database, order, {
      // Told after each batch with the size of the next one.
      tell: (beat) => {
        if (beat.batches > batches) sizes.push(batchRows);
        ({ batches, batchRows, rows: done } = beat);
      },
      pause: (ms) => pause(ms),
      signal: new AbortController().signal,
      limits: { firstRows: FIRST_ROWS },
    });
    return { ms: performance.now() - began, sizes, memory: memory.stop() };
  } finally {
    await stage.close();
  }
}

async function runBare(url, sizes) {
  return withClient(url, async (client) => {
    const began = performance.now();
    let cursor = null;
    for (const size of sizes) {
      await client.query('begin');
      ({ cursor } = (await client.query(QUERIES.batch, [size, cursor])).rows[0]);
      await client.query('commit');
    }
    return { ms: performance.now() - began };
  });
}

/** The whole way of a user: plan, claim, the data, one schema step, releases verified. */
async function runWithTemporal({ client, temporal, stops }, subject, url, folder) {
  const instance = 'bench-data';
  const instances = { [instance]: { [subject.main]: url } };
  const config = await writeConfig({ folder: path.join(folder, 'config'), temporal, subject, instances });
  const worker = await startWorker({ config });
  stops.push(() => worker.stop());
  const plan = subject.descent([subject.main]);
  const share = { done: 0 };
  const looking = setInterval(() => void look(url, share), LOOK_EVERY_MS * 10);
  const memory = watchMemory(
    () => worker.residentMb(),
    () => share.done,
  );
  try {
    const { taskQueue } = config.temporal;
    const { ms } = await runWorkflow({ client, taskQueue, instance, to: subject.to, plan });
    return { ms, memory: memory.stop() };
  } finally {
    clearInterval(looking);
    memory.stop();
    await worker.stop();
  }
}

/** How far the journal says it is; another session than the measured ones. */
async function look(url, share) {
  const text = `select d.rows::float8 / greatest((select reltuples from pg_class where oid = 'bench_rows'::regclass), 1) as done from pgunwind.data_step d`;
  const rows = await withClient(url, async (client) => (await client.query(text)).rows).catch(() => []);
  share.done = rows[0]?.done ?? share.done;
}

/** Resident memory: where the first tenth of the rows was done, and the most after that. Null where it cannot be read. */
function watchMemory(megabytes, share) {
  let start = null;
  let peak = null;
  const timer = setInterval(() => {
    const now = megabytes();
    if (now === null || share() < SETTLED_AFTER) return;
    start ??= now;
    peak = Math.max(peak ?? 0, now);
  }, LOOK_EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      return start === null ? null : { start, growth: peak - start };
    },
  };
}

async function expectMoved(url, rows) {
  const text = 'select count(*)::integer as n, (count(*) filter (where newer))::integer as newer from bench_rows';
  const [found] = await withClient(url, async (client) => (await client.query(text)).rows);
  if (found.n !== rows || found.newer !== 0) throw new Error(`of ${rows} rows ${found.newer} of ${found.n} were left`);
}
