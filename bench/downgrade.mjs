import { runEngine } from './engine.mjs';
import { median } from './median.mjs';
import { processorTime } from './processor-time.mjs';
import { runRaw } from './raw-client.mjs';
import { runWorkflow } from './workflow.mjs';

/**
 * Measures raw client, engine and engine with Temporal on the same databases, each run on a fresh copy; round after round, so
 * that whatever else the machine does falls on all three.
 */
export async function measureDowngrade({ bench, names, place, rounds, styles = ['message'] }) {
  const { subject, databases, config, client, say } = bench;
  const plan = subject.descent(names);
  const { urlOf, instanceOf, proxy } = place;
  const runs = {};
  const note = (kind, run) => (runs[kind] ??= []).push(run);
  for (let round = 1; round <= rounds; round += 1) {
    // Beside the floor another style is there for comparison only, and slow: once is enough.
    const raw = styles.slice(0, round === 1 ? styles.length : 1).map((style) => `raw ${style}`);
    for (const kind of [...raw, 'engine', 'temporal']) {
      const instance = instanceOf(kind === 'engine' ? 'engine' : kind === 'temporal' ? 'temporal' : 'raw', round);
      const copies = Object.fromEntries(names.map((name) => [name, copyName(instance, name)]));
      await databases.copy(subject, copies);
      await databases.settle();
      const before = proxy?.counts();
      const spentBefore = processorTimes(bench);
      let run;
      if (kind === 'engine') run = await runEngine({ config, instance, to: subject.to });
      else if (kind === 'temporal')
        run = await runWorkflow({ client, taskQueue: config.temporal.taskQueue, instance, to: subject.to, plan });
      else {
        const ms = await runRaw({
          plan,
          subject,
          urlOf: (name) => urlOf(copies[name]),
          style: kind.slice('raw '.length),
        });
        run = { ms };
      }
      const after = proxy?.counts();
      const spent = processorTimes(bench);
      for (const who of Object.keys(spent)) spent[who] -= spentBefore[who];
      note(kind, { ...run, spent, roundTrips: after === undefined ? null : after.answers - before.answers });
      say(
        `${place.name} · ${names.length} ${names.length === 1 ? 'database' : 'databases'} · ${kind}: ${Math.round(run.ms)} ms`,
      );
      await databases.drop(copies);
    }
  }
  const steps = plan.legs.flatMap((leg) => names.flatMap((name) => leg.steps[name] ?? [])).length;
  const of = (kind, field) => median((runs[kind] ?? []).map((run) => run[field]));
  return {
    steps,
    legs: plan.legs.length,
    names,
    raw: of('raw message', 'ms'),
    rawStatements: styles.includes('statements') ? of('raw statements', 'ms') : null,
    engine: of('engine', 'ms'),
    engineRoundTrips: of('engine', 'roundTrips'),
    temporal: of('temporal', 'ms'),
    temporalRoundTrips: of('temporal', 'roundTrips'),
    events: of('temporal', 'events'),
    bytes: of('temporal', 'bytes'),
    spent: Object.fromEntries(
      Object.entries(runs).map(([kind, all]) => [
        kind,
        Object.fromEntries(WHO.map((who) => [who, median(all.map(({ spent }) => spent[who])) / steps])),
      ]),
    ),
  };
}

export const copyName = (instance, database) => `bench ${instance} ${database}`;

const WHO = ['postgres', 'temporal', 'worker', 'client'];

/** Where the work is done: the server's processes, Temporal's, the worker, and this process (raw client, engine, delaying proxy). */
function processorTimes({ postgres, temporal, worker }) {
  const { user, system } = process.cpuUsage();
  return {
    postgres: processorTime(postgres.pid, { children: true }),
    temporal: processorTime(temporal.pid),
    worker: processorTime(worker.pid),
    client: (user + system) / 1_000,
  };
}
