import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { writeConfig } from './config-file.mjs';
import { measureData } from './data.mjs';
import { createDatabases, withClient } from './databases.mjs';
import { startDelayProxy } from './delay-proxy.mjs';
import { copyName, measureDowngrade } from './downgrade.mjs';
import { median } from './median.mjs';
import { measureMemory } from './memory.mjs';
import { repository } from './options.mjs';
import { measurePlanTime } from './plan-time.mjs';
import { connect, startServers } from './product.mjs';
import { measureResume } from './resume.mjs';
import { countRoundTrips, measureStepCost } from './step-cost.mjs';
import { compileCorpus, compileShop } from './subject.mjs';
import { startWorker } from './worker-process.mjs';

const DELAY_MS = 10;
const FLEET = 100;

/** Everything that was asked for, in one run on the same servers. */
export async function measureAll({ options, stops, folder, say }) {
  const { quick, rounds, parts, corpus } = options;
  const loadBefore = loadAverage();
  const measured = {};

  const compiled = path.join(folder, 'subject');
  const subject = corpus === null ? await compileShop(compiled) : await compileCorpus(corpus, compiled);
  if (parts.has('catalog')) {
    measured.catalog = { builtMs: subject.builtMs };
    measured.gitMs = corpus === null ? null : await readWithGit(corpus, path.join(folder, 'git'));
  }
  say(`catalog of ${subject.migrations} migrations, ${Math.round(subject.builtMs)} ms`);

  if (parts.has('plan')) measured.plan = await measurePlanTime({ subject, processes: quick ? 3 : 5 });

  const bench = await startBench({ options, stops, folder, say, subject });
  if (parts.has('downgrade') || parts.has('distance')) Object.assign(measured, await measureDescents(bench, options));
  if (parts.has('step')) {
    measured.step = await measureStepCost({ bench, steps: quick ? 100 : 300 });
    const proxy = await startDelayProxy({ port: bench.postgres.port, delayMs: 0 });
    stops.push(() => proxy.close());
    measured.roundTrips = await countRoundTrips({ bench, proxy });
  }
  if (parts.has('resume')) measured.resume = await measureResume({ bench, times: quick ? 1 : 3, folder });
  if (parts.has('memory')) {
    const shop = corpus === null ? subject : await compileShop(path.join(folder, 'shop'));
    if (shop !== subject) await bench.databases.fill(shop);
    measured.memory = await measureMemory({ bench, shop, instances: quick ? 10 : FLEET, folder });
  }
  if (parts.has('data')) measured.data = await measureData({ bench, rows: options.rows, folder });
  const facts = await factsOf({ bench, rounds, quick, loadBefore });
  return { facts, subject, corpus: corpus !== null, measured };
}

/** Servers, templates and the client that starts workflows. */
async function startBench({ options, stops, folder, say, subject }) {
  // A fleet keeps up to two warm sessions per database.
  const settings = { max_connections: 400 };
  const { postgres, temporal } = await startServers(stops, {
    postgres: { settings },
    temporal: { anyPort: true, headless: true, say },
  });
  const databases = createDatabases(postgres);
  const began = performance.now();
  await databases.fill(subject);
  say(`databases at ${subject.from}, ${Math.round(performance.now() - began)} ms`);
  const { client, connection, close } = await connect({ address: temporal.address, namespace: temporal.namespace });
  stops.push(() => close());
  return { options, stops, folder, say, subject, postgres, temporal, databases, client, connection };
}

async function measureDescents(bench, { rounds, parts, profile }) {
  const { postgres, subject, folder, temporal, stops } = bench;
  const proxy = await startDelayProxy({ port: postgres.port, delayMs: DELAY_MS });
  stops.push(() => proxy.close());
  const through = (name) => {
    const url = new URL(postgres.url(name));
    url.port = String(proxy.port);
    return url.href;
  };
  const names = { near3: subject.databases, near1: [subject.main], far: [subject.main] };
  const urlOf = { near3: postgres.url, near1: postgres.url, far: through };
  const instanceOf = (place) => (kind, round) => `${place}-${kind}-${round}`;
  const instances = {};
  for (const place of Object.keys(names)) {
    for (const kind of ['engine', 'temporal']) {
      for (let round = 1; round <= rounds; round += 1) {
        const instance = instanceOf(place)(kind, round);
        instances[instance] = Object.fromEntries(
          names[place].map((name) => [name, urlOf[place](copyName(instance, name))]),
        );
      }
    }
  }
  const config = await writeConfig({ folder: path.join(folder, 'descents'), temporal, subject, instances });
  const worker = await startWorker({ config, profile });
  stops.push(() => worker.stop());
  const measure = (place, name, styles) =>
    measureDowngrade({
      bench: { ...bench, config, worker },
      names: names[place],
      place: { name, urlOf: urlOf[place], instanceOf: instanceOf(place), proxy: place === 'far' ? proxy : null },
      rounds,
      styles,
    });
  const measured = {};
  if (parts.has('downgrade')) {
    measured.near3 = await measure('near3', 'loopback');
    if (subject.databases.length > 1) measured.near1 = await measure('near1', 'loopback');
  }
  if (parts.has('distance')) {
    const roundTripMs = await withClient(through('postgres'), measureRoundTrip);
    measured.far = { ...(await measure('far', 'at a distance', ['message', 'statements'])), roundTripMs };
  }
  await worker.stop(); // its task queue is the others' too
  return measured;
}

async function measureRoundTrip(client) {
  const times = [];
  for (let at = 0; at < 20; at += 1) {
    const began = performance.now();
    await client.query('select 1');
    times.push(performance.now() - began);
  }
  return median(times);
}

/** The floor of the catalog: git reading every tag's tree and nothing made of it. */
async function readWithGit(corpus, target) {
  const run = promisify(execFile);
  const began = performance.now();
  await run('git', ['clone', '--quiet', '--bare', corpus, target]);
  const { stdout } = await run('git', ['--git-dir', target, 'rev-list', '--objects', '--all'], { maxBuffer: 1 << 28 });
  await new Promise((resolve, reject) => {
    const child = execFile('git', ['--git-dir', target, 'cat-file', '--batch'], { maxBuffer: 1 << 30 }, (error) =>
      error ? reject(error) : resolve(),
    );
    child.stdin.end(stdout.replaceAll(/ .*$/gm, ''));
  });
  return performance.now() - began;
}

async function factsOf({ bench, rounds, quick, loadBefore }) {
  const { dependencies } = JSON.parse(readFileSync(path.join(repository, 'package.json'), 'utf8'));
  const sdk = path.join(repository, 'node_modules', '@temporalio', 'worker', 'package.json');
  const { serverVersion } = await bench.connection.workflowService.getSystemInfo({});
  const [cpu] = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' ').concat(' UTC'),
    rounds: `median of ${rounds} interleaved ${rounds === 1 ? 'round' : 'rounds'}${quick ? ' (--quick)' : ''}.`,
    cpus: os.cpus().length,
    loadBefore,
    loadAfter: loadAverage(),
    machine: {
      Node: process.versions.node,
      Postgres: `${bench.postgres.version}, embedded, fsync off`,
      'Temporal server': `${serverVersion}, development server, in memory, eager activities`,
      'Temporal SDK': JSON.parse(readFileSync(sdk, 'utf8')).version,
      'node-postgres': dependencies.pg,
      machine: `${os.cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, ${Math.round(os.totalmem() / 2 ** 30)} GB, ${os.type()} ${os.arch()}`,
    },
  };
}

const loadAverage = () =>
  os
    .loadavg()
    .map((value) => value.toFixed(2))
    .join(', ');
