import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { loadConfig } from '../../config/load.js';
import { ExitCode } from '../../contract/errors.js';
import { workflowIdOf } from '../../contract/ids.js';
import type { Plan } from '../../contract/plan.js';
import { countSteps, dataSteps, dataStepLabel, destructiveSteps } from '../../plan/report.js';
import { createEngine, type Engine } from '../../instance/engine.js';
import { connect } from '../../temporal/connection.js';
import { durationText } from '../bars.js';
import { CliFailure, CommandError } from '../failure.js';
import { followRun } from '../follow.js';
import { destroysText } from '../plan-text.js';
import { closingLine } from '../progress.js';
import { createRuns, type Runs } from '../runs.js';
import type { Terminal } from '../terminal.js';
import { startChildWorker, type ChildWorker } from './child-worker.js';
import { murderPlot } from './murder-plot.js';
import { readPhones, seedShop, setUpShop, type PhonesMoved, type Shop } from './shop.js';
import { startServers } from './servers.js';
import type { Stops } from './stops.js';

export interface StoryDeps {
  /** Everything that is written goes here. */
  readonly folder: string;
  /** Whatever is started is put here; the caller stops it. */
  readonly stops: Stops;
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

const INSTANCE = 'shop-demo';
const LOSSES_SHOWN = 5;

interface Stage {
  readonly deps: StoryDeps;
  readonly shop: Shop;
  readonly runs: Runs;
  readonly engine: Engine;
  say(text: string): void;
  startWorker(): Promise<ChildWorker>;
}

/** An upgrade of empty databases, data, a downgrade whose worker is killed half-way, and a look at the result. @returns the exit code. */
export async function tellStory(deps: StoryDeps): Promise<number> {
  const began = Date.now();
  const { terminal } = deps;
  const say = (text: string) =>
    terminal.out(`${terminal.colors.dim(`[${durationText(Date.now() - began).padStart(6)}]`)} ${text}`);

  say('Starting Postgres and Temporal …');
  const { postgres, temporal } = await startServers(deps.stops, { temporal: { say: (line) => terminal.err(line) } });
  say(
    `Postgres ${postgres.version} on port ${postgres.port}, Temporal on ${temporal.address}, its Web UI on ${temporal.uiUrl}`,
  );

  const shop = await setUpShop({ folder: deps.folder, instance: INSTANCE, postgres, temporal });
  const { catalog, oldest, newest, databases } = shop;
  const migrations = catalog.databases.reduce((sum, database) => sum + database.migrations.length, 0);
  say(
    `Catalog of the shop: ${catalog.releases.length} releases, ${oldest} to ${newest}, ${migrations} migrations in ${databases.join(', ')}`,
  );

  const stage = await setStage(deps, shop, say);
  const worker = await stage.startWorker();
  say(`Worker ready (process ${worker.pid})`);

  await upgrade(stage);
  say(`Filling it with data …`);
  const rows = await seedShop(postgres, shop);
  say(`${rows.toLocaleString('en')} rows inserted`);

  const told = await downgrade(stage, worker);
  const phones = await readPhones(postgres, shop);
  await report(stage, told, phones, `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows`, began);
  return told.code;
}

async function setStage(deps: StoryDeps, shop: Shop, say: (text: string) => void): Promise<Stage> {
  // No variable of the user's own Temporal may lead away from the server that was just started.
  const env = Object.fromEntries(Object.entries(deps.env).filter(([name]) => !name.startsWith('TEMPORAL_')));
  const config = loadConfig(shop.configFile, { env });
  const { client, namespace, close } = await connect(config.temporal, { env });
  deps.stops.push(close);
  const engine = createEngine({ config, log: pino({ level: 'silent' }) });
  deps.stops.push(() => engine.close());
  const runs = createRuns({ client, namespace, taskQueue: config.temporal.taskQueue });
  let workers = 0;
  return {
    deps,
    shop,
    runs,
    engine,
    say,
    async startWorker() {
      const logFile = path.join(deps.folder, `worker-${(workers += 1)}.log`);
      const worker = startChildWorker(shop.configFile, env, (line) => appendFileSync(logFile, `${line}\n`));
      deps.stops.push(() => worker.process.stop());
      await worker.ready;
      return worker;
    },
  };
}

async function upgrade({ deps, shop, runs, engine, say }: Stage): Promise<void> {
  const { plan } = await engine.plan({ instance: INSTANCE, to: shop.newest, direction: 'up' });
  say(`Upgrading ${INSTANCE} from empty databases to ${shop.newest}: ${stepsText(plan)}`);
  await runs.start('upgrade', { instance: INSTANCE, to: shop.newest, by: 'demo', ...consent(plan) });
  const code = await followRun(runs, deps.terminal, follow(deps.signal));
  if (code !== ExitCode.done)
    throw new CommandError(CliFailure.Unexpected, `The upgrade ended with ${code}; see above.`);
}

/** What happened to the worker on the way. */
interface Told {
  readonly code: number;
  readonly plan: Plan;
  readonly tookMs: number;
  readonly killedAtStep: number | null;
  /** From the kill until the next step was done. */
  readonly resumedAfterMs: number | null;
}

async function downgrade(stage: Stage, worker: ChildWorker): Promise<Told> {
  const { deps, shop, runs, engine, say } = stage;
  const { plan } = await engine.plan({ instance: INSTANCE, to: shop.oldest, direction: 'down' });
  say(`Downgrading ${INSTANCE} to ${shop.oldest}: ${stepsText(plan)}`);
  for (const line of [...lossLines(plan), ...dataLinesOf(plan)]) deps.terminal.out(`         ${line}`);

  const began = Date.now();
  await runs.start('downgrade', { instance: INSTANCE, to: shop.oldest, by: 'demo', ...consent(plan) });
  const murder = murderPlot(stage, worker, allSteps(plan));
  const code = await followRun(runs, deps.terminal, {
    ...follow(deps.signal),
    onStatus: murder.onStatus,
    onUnanswered: murder.onUnanswered,
    pollMs: 40,
  });
  const tookMs = Date.now() - began;
  await murder.successor();
  return { code, plan, tookMs, ...murder.told() };
}

async function report(
  { deps, shop, runs, engine, say }: Stage,
  told: Told,
  phones: PhonesMoved | null,
  workflows: string,
  began: number,
): Promise<void> {
  const { terminal } = deps;
  if (told.code !== ExitCode.done) {
    say(`The downgrade ended with exit code ${told.code}; what was found is above.`);
    return;
  }
  const verdicts = await engine.check({ instance: INSTANCE });
  const dirty = Object.entries(verdicts).filter(([, verdict]) => !verdict.clean);
  const { alreadyThere } = await engine.plan({ instance: INSTANCE, to: shop.oldest, direction: 'down' });
  if (dirty.length > 0 || !alreadyThere) {
    const found = dirty.flatMap(([, { reasons }]) => reasons.map(({ code, evidence }) => `${code}: ${evidence}`));
    throw new CommandError(
      CliFailure.Unexpected,
      `The result is not ${shop.oldest}: ${[...found, ...(alreadyThere ? [] : ['the applied sets are not the release’s'])].join('; ')}`,
    );
  }
  if (phones === null || phones.newer > 0) {
    throw new CommandError(
      CliFailure.Unexpected,
      `${phones?.newer ?? 'An unknown number of'} phone numbers are still in the form that ${shop.oldest} cannot read.`,
    );
  }
  const { runId } = await runs.describe(INSTANCE);
  const steps = allSteps(told.plan);
  const downs = countSteps(told.plan).total;
  say('Checked: every database is clean, what is applied is exactly the release, and so is the form of the data');
  terminal.out('');
  terminal.out(
    `  steps      ${downs} downs in ${told.plan.legs.length} legs over ${shop.databases.length} databases, each exactly once`,
  );
  terminal.out(
    `  data       ${phones.older.toLocaleString('en')} phone numbers in the older form again: ${phones.rows.toLocaleString('en')} rows in ${phones.batches} batches, each exactly once`,
  );
  terminal.out(
    `  time       ${durationText(told.tookMs)} with the kill; ${durationText(Date.now() - began)} for the whole demo`,
  );
  if (told.killedAtStep !== null) {
    const pause = told.resumedAfterMs === null ? '' : `, went on ${durationText(told.resumedAfterMs)} later`;
    terminal.out(`  killed     after step ${told.killedAtStep} of ${steps}${pause}`);
  }
  terminal.out(`  Web UI     ${workflows}/${encodeURIComponent(workflowIdOf(INSTANCE))}/${runId}/history`);
  terminal.out(`  exit code  ${told.code}`);
  terminal.out('');
  terminal.out(closingLine(await runs.result(INSTANCE)));
}

function follow(signal: AbortSignal) {
  return { instance: INSTANCE, json: false, signal, leaveWhenParked: true };
}

function consent(plan: Plan): { acceptDataLoss?: string } {
  return destructiveSteps(plan).length > 0 ? { acceptDataLoss: plan.id } : {};
}

function stepsText(plan: Plan): string {
  return `${countSteps(plan).total} migrations and ${dataSteps(plan).length} data migration in ${plan.legs.length} legs`;
}

/** As a run counts them. */
function allSteps(plan: Plan): number {
  return countSteps(plan).total + dataSteps(plan).length;
}

/** Where, between two legs, data goes back. */
function dataLinesOf(plan: Plan): string[] {
  return dataSteps(plan).map(({ leg, step }) => {
    const next = plan.legs[leg + 1]?.release;
    const until = next === undefined ? '' : `, before the leg to ${next}`;
    return `data goes back at ${plan.legs[leg]?.release}${until}: ${dataStepLabel(step)}`;
  });
}

function lossLines(plan: Plan): string[] {
  const losing = destructiveSteps(plan);
  if (losing.length === 0) return [];
  const shown = losing.slice(0, LOSSES_SHOWN).map(({ database, step }) => {
    const lost = step.destroys.filter((it) => it.loss === 'data');
    return `  ${database} ${step.migration} ${step.name}: ${destroysText(lost, 3)}`;
  });
  const rest =
    losing.length > LOSSES_SHOWN ? [`  … and ${losing.length - LOSSES_SHOWN} more ("pg-unwind plan" lists them)`] : [];
  return [`${losing.length} steps lose content; the demo consents to plan ${plan.id.slice(0, 12)}…`, ...shown, ...rest];
}
