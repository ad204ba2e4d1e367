// Where a probe plays: a product of its own, compiled by the command, in a database of its own; workers are processes that can be killed.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { repository } from '../build.mjs';
import { startChildWorker } from './product.mjs';
import { createTranscript } from './transcript.mjs';

/** The caller's Temporal; and the folder in which npm was called, which our command would take for its own. */
const NOT_OURS = /^(TEMPORAL_|INIT_CWD$|npm_)/;

export const ROLE = 'shop';
const WITHIN_MS = 120_000;

/** Waits for a fact, not for a time. */
export async function until(what, fact) {
  const deadline = performance.now() + WITHIN_MS;
  for (;;) {
    const seen = await fact();
    if (seen) return seen;
    if (performance.now() > deadline) throw new Error(`Waited ${WITHIN_MS / 1000} s in vain for ${what}.`);
    await sleep(20);
  }
}

/** "1.9 s", "12 s": closer it is not the same twice. */
export const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;

/** What of an answer is shown: the rest depends on how far the run has come at that moment. */
export const firstLine = (text) => text.split('\n')[0];
export const nothing = () => '';
export const theEnd = (text) => text.replaceAll(/^acme (planning|running|verifying|completed)\b.*\n/gm, '');

/** The outcome that a probe must have. */
export function expectThat(held, what) {
  if (!held) throw new Error(`The probe did not hold: ${what}`);
}

/** Two names for one database: what two careless operators would have. */
const configOf = (address, queue) => `temporal: { address: '${address}', taskQueue: ${queue} }
products:
  shop: { catalog: catalog, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: schema_migrations } } }
instances:
  acme: { product: shop, databases: { frontend: { url: { env: ACME_URL } } } }
  acme-twin: { product: shop, databases: { frontend: { url: { env: ACME_URL } } } }
`;

/** `releases/<label>/migrations/frontend/<id>_<name>/…`; a script that is null is left out. */
function writeReleases(folder, releases) {
  for (const [label, migrations] of Object.entries(releases)) {
    for (const { id, name, up, down } of migrations) {
      const at = path.join(folder, 'releases', label, 'migrations', 'frontend', `${id}_${name}`);
      const metadata = `name: ${name}\nparents: [${id === 1 ? '' : id - 1}]`;
      mkdirSync(at, { recursive: true });
      for (const [file, text] of Object.entries({ 'up.sql': up, 'down.sql': down, 'metadata.yaml': metadata })) {
        if (text !== null) writeFileSync(path.join(at, file), `${text}\n`);
      }
    }
  }
}

export async function openStage({ id, releases, servers: { postgres, temporal }, folder, stops }) {
  mkdirSync(folder, { recursive: true });
  writeReleases(folder, releases);
  writeFileSync(path.join(folder, 'pg-unwind.yaml'), configOf(temporal.address, id));
  const transcript = createTranscript(folder);
  await query(postgres.superuserUrl, `create database "${id}" owner ${ROLE}`);
  const url = postgres.url(id, ROLE, postgres.password);
  const env = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !NOT_OURS.test(name))),
    ACME_URL: url,
    TEMPORAL_ADDRESS: temporal.address, // for "pg-unwind temporal"
    CI: '1',
    NO_COLOR: '1',
  };
  const run = (words) => runCommand(words, { cwd: folder, env });
  const ask = (text) => query(url, text);
  const watch = (text) => query(postgres.superuserUrl, text);
  let workers = 0;

  const stage = {
    ask,
    note: transcript.note,
    output: transcript.output,
    text: transcript.text,

    /** Types a command and keeps what it says. */
    async cli(line, { exit = 0, shown = (text) => text } = {}) {
      const { code, text } = await run(line.split(' '));
      transcript.command(`pg-unwind ${line}`);
      if (shown(text) !== '') transcript.output(shown(text));
      if (code !== 0) transcript.output(`(exit code ${code})`);
      expectThat(code === exit, `"pg-unwind ${line}" ends with exit code ${exit}, not ${code}: ${text}`);
      return text;
    },

    /** The same without a word in the transcript. */
    async quietly(line, exit = 0) {
      const { code, text } = await run(line.split(' '));
      expectThat(code === exit, `"pg-unwind ${line}" ends with exit code ${exit}, not ${code}: ${text}`);
      return text;
    },

    /** Asks, and keeps the answer. */
    async sql(text) {
      const result = await ask(text);
      transcript.query(text, result);
      return result.rows;
    },
    answered: transcript.query,

    /** A down script as the release carries it. */
    showDown(id) {
      const { name, down } = Object.values(releases)
        .at(-1)
        .find((it) => it.id === id);
      transcript.command(`cat releases/${Object.keys(releases).at(-1)}/migrations/frontend/${id}_${name}/down.sql`);
      transcript.output(down);
    },

    /** A session of somebody else, which the probe ends. */
    async session() {
      const client = new pg.Client({ connectionString: url, application_name: 'psql' });
      client.on('error', () => undefined); // the query in progress rejects with the same
      await client.connect();
      stops.push(() => client.end());
      return client;
    },

    /** One Temporal server for all probes: the names of the instances are free again. */
    async close() {
      for (const instance of ['acme', 'acme-twin']) {
        await run(['temporal', 'workflow', 'terminate', '--workflow-id', `unwind/${instance}`]);
      }
    },

    worker: () => startWorker({ name: `worker ${(workers += 1)}`, folder, env, transcript, stops }),

    /** The pid of the session of ours of which that is true. Asked from another database: nobody else is connected to this one. */
    backend: (what, where) =>
      until(what, async () => {
        const { rows } = await watch(`select pid from pg_stat_activity
          where datname = '${id}' and application_name like 'pgu:%' and ${where}`);
        return rows[0]?.pid;
      }),
    backendGone: (pid) =>
      until('the end of the session', async () => {
        return (await watch(`select from pg_stat_activity where pid = ${pid}`)).rows.length === 0;
      }),

    inState: (state, instance = 'acme') =>
      until(`${instance} to be ${state}`, async () => {
        const { text } = await run(['status', instance, '--json']);
        const status = text.startsWith('{') ? JSON.parse(text) : {};
        expectThat(
          status.state !== 'needsOperator' || state === 'needsOperator',
          `${instance} goes on by itself: ${JSON.stringify(status.parked)}`,
        );
        return (status.state ?? status.outcome) === state;
      }),

    planId: async (to) => JSON.parse(await stage.quietly(`plan acme --to ${to} --json`)).id,

    /** The catalog is built, and the instance stands at the newest release, through every one before. */
    async atNewest() {
      await stage.quietly('catalog build --source releases --product shop --out catalog');
      const worker = await stage.worker();
      for (const label of Object.keys(releases)) await stage.quietly(`upgrade acme --to ${label} --wait`);
      worker.forget();
      return worker;
    },
  };
  return stage;
}

function startWorker({ name, folder, env, transcript, stops }) {
  const lines = [];
  const child = startChildWorker(path.join(folder, 'pg-unwind.yaml'), env, (line) => lines.push(line));
  stops.push(() => child.process.stop());
  let said = 0;
  return child.ready.then(() => ({
    /** @returns the moment. */
    async kill() {
      transcript.command(`kill -9 <${name}>`);
      child.process.signal('SIGKILL');
      const at = performance.now();
      await child.process.ended;
      return at;
    },
    stop: () => child.process.stop(),
    forget: () => (said = lines.length),
    /** The moment at which it says so. */
    says: (what) =>
      until(`${name} to say ${what}`, () => lines.slice(said).some((line) => what.test(line)) && performance.now()),
    /** What it logged since, as far as it tells what was done. */
    log() {
      const fresh = lines
        .slice(said)
        .filter((line) => /^(INFO|WARN|ERROR) /.test(line) && !/ worker (ready|stopped)/.test(line));
      said = lines.length;
      for (const line of new Set(fresh)) transcript.output(`${name}: ${line}`); // how often it tried is chance
      return fresh.join('\n');
    },
  }));
}

async function runCommand(words, options) {
  const child = spawn(process.execPath, [path.join(repository, 'dist', 'cli.js'), ...words], options);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  return { code, text: text.trimEnd() };
}

async function query(connectionString, text) {
  const client = new pg.Client({ connectionString, application_name: 'psql' });
  client.on('error', () => undefined); // the query in progress rejects with the same
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}
export { query };
