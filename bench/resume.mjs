import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { HEARTBEAT_TIMEOUT_SECONDS, writeConfig } from './config-file.mjs';
import { withClient } from './databases.mjs';
import { copyName } from './downgrade.mjs';
import { median } from './median.mjs';
import { compileFolder, stepsOf } from './subject.mjs';
import { startWorker } from './worker-process.mjs';
import { startWorkflow, untilEnded } from './workflow.mjs';

const SLEEP_SECONDS = 1;
const GIVE_UP_MS = 60_000;

/**
 * From kill -9 of the worker to the next step that a new worker finishes; the new one is started at once. One kill while a step's
 * statement runs, which the server then completes by itself; one at some moment of the subject's own downgrade. That one may hit
 * a workflow task: then the server waits for the workflow task's timeout and not for a heartbeat, so the answers are kept
 * apart by what was hit.
 */
export async function measureResume({ bench, times, folder }) {
  const sleeper = await compileSleeper(path.join(folder, 'sleeper'));
  const { databases, postgres, subject } = bench;
  await databases.fill(sleeper);
  const kills = [
    { name: 'asleep', subject: sleeper, moment: untilItSleeps },
    {
      name: 'anywhere',
      subject,
      moment: (client) => untilDone(client, Math.ceil(stepsOf(subject.descent([subject.main])) / 6)),
    },
  ];
  const answers = {};
  for (let time = 1; time <= times; time += 1) {
    for (const kill of kills) {
      const instance = `kill-${kill.name}-${time}`;
      const copy = copyName(instance, kill.subject.main);
      await databases.copy(kill.subject, { [kill.subject.main]: copy });
      const url = postgres.url(copy);
      const config = await writeConfig({
        folder: path.join(folder, instance),
        temporal: bench.temporal,
        subject: kill.subject,
        instances: { [instance]: { [kill.subject.main]: url } },
      });
      const { ms, hit, floor } = await killOnce({ bench, config, instance, url, ...kill });
      bench.say(`killed in ${hit}: the next step was finished ${Math.round(ms)} ms later`);
      (answers[hit] ??= { floor, times: [] }).times.push(ms);
      await databases.drop({ copy });
    }
  }
  return Object.fromEntries(
    Object.entries(answers).map(([hit, { floor, times: all }]) => [hit, { floor, over: median(all) - floor }]),
  );
}

async function killOnce({ bench, config, instance, url, subject, moment }) {
  const plan = subject.descent([subject.main]);
  const { taskQueue } = config.temporal;
  const workers = [await startWorker({ config })];
  try {
    return await withClient(url, async (client) => {
      const handle = await startWorkflow({ client: bench.client, taskQueue, instance, to: subject.to, plan });
      const ended = untilEnded(handle);
      ended.catch(() => undefined); // awaited below; until then it must not end the process
      await moment(client);
      await workers[0].kill();
      const killed = performance.now();
      const replaced = startWorker({ config }).then((worker) => workers.push(worker));
      // What the server still completes of the dead worker's step is not the new one's work.
      await pause(SLEEP_SECONDS * 1_000 + 500);
      const standing = await doneSteps(client);
      await untilDone(client, standing + 1);
      const ms = performance.now() - killed;
      await replaced;
      await ended;
      return { ms, ...whatWasHit(await handle.fetchHistory()) };
    });
  } finally {
    for (const worker of workers) await worker.stop();
  }
}

const START_TO_CLOSE = 1; // temporal.api.enums.v1.TimeoutType

function whatWasHit({ events }) {
  const started = events[0].workflowExecutionStartedEventAttributes;
  const inTask = events.some(({ workflowTaskTimedOutEventAttributes: at }) => at?.timeoutType === START_TO_CLOSE);
  return inTask
    ? { hit: 'a workflow task', floor: Number(started.workflowTaskTimeout.seconds) * 1_000 }
    : { hit: 'a step', floor: HEARTBEAT_TIMEOUT_SECONDS * 1_000 };
}

async function untilDone(client, wanted) {
  await until(async () => (await doneSteps(client)) >= wanted, `${wanted} finished steps`);
}

async function untilItSleeps(client) {
  await until(async () => {
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database() and application_name like 'pgu:%' and wait_event = 'PgSleep'`,
    );
    return rows.length > 0;
  }, 'the sleeping step');
}

async function doneSteps(client) {
  const { rows } = await client.query(
    `select case when to_regclass('pgunwind.step') is null then 0
       else (xpath('/row/n/text()', query_to_xml($$select count(*) as n from pgunwind.step where state = 'done'$$, false, true, '')))[1]::text::integer
     end as n`,
  );
  return rows[0].n;
}

async function until(fact, what) {
  const deadline = performance.now() + GIVE_UP_MS;
  while (!(await fact())) {
    if (performance.now() > deadline) throw new Error(`Waited ${GIVE_UP_MS / 1_000} s for ${what}.`);
    await pause(5);
  }
}

/** A product of our own whose fourth down takes a second. */
async function compileSleeper(folder) {
  const migrations = 8;
  for (const [release, count] of [
    ['v1.0.0', 1],
    ['v1.1.0', migrations],
  ]) {
    for (let id = 1; id <= count; id += 1) {
      const directory = path.join(folder, 'releases', release, 'migrations', 'frontend', `${id}_step_${id}`);
      await mkdir(directory, { recursive: true });
      const down = id === migrations - 3 ? `select pg_sleep(${SLEEP_SECONDS});` : `drop table if exists sleeper_${id};`;
      await writeFile(path.join(directory, 'up.sql'), `create table sleeper_${id} (id integer);\n`);
      await writeFile(path.join(directory, 'down.sql'), `${down}\n`);
      await writeFile(
        path.join(directory, 'metadata.yaml'),
        `name: step_${id}\nparents: [${id === 1 ? '' : id - 1}]\n`,
      );
    }
  }
  return compileFolder(path.join(folder, 'releases'), folder, 'sleeper');
}
