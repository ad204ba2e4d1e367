import { ExitCode } from '../../contract/errors.js';
import { durationText } from '../bars.js';
import { CliFailure, CommandError } from '../failure.js';
import { followRun, type FollowOptions } from '../follow.js';
import { startApplication } from './application.js';
import type { Child } from './child.js';
import { murderPlot } from './murder-plot.js';
import { report, type Told } from './outcome.js';
import { allSteps, consent, dataLinesOf, lossLines, stepsText } from './plan-lines.js';
import { startServers } from './servers.js';
import { readPhones, seedShop, setUpShop } from './shop.js';
import { createVoice, INSTANCE, ownEnv, setStage, type Stage, type StoryDeps } from './stage.js';
import { createTurns } from './turns.js';

/** Where the application follows: before the phone numbers go back and after, on schemas that no version shares with the next. */
const VIA = ['v2.2.0', 'v2.0.0'];

/**
 * An upgrade of empty databases, data, a downgrade in turns with the application, whose worker is killed half-way, and a look at the
 * result. @returns the exit code.
 */
export async function tellStory(deps: StoryDeps): Promise<number> {
  const began = Date.now();
  const { terminal, folder, stops, signal } = deps;
  const voice = createVoice(terminal, () => durationText(Date.now() - began));

  voice.say('Starting Postgres and Temporal …');
  const { postgres, temporal } = await startServers(stops, { temporal: { say: (line) => terminal.err(line) } });
  voice.say(
    `Postgres ${postgres.version} on port ${postgres.port}, Temporal on ${temporal.address}, its Web UI on ${temporal.uiUrl}`,
  );

  const onLine = (line: string) => voice.overhear(`deployer: ${line}`);
  const application = await startApplication({ folder, env: ownEnv(deps.env), stops, signal, onLine });
  const shop = await setUpShop({ folder, instance: INSTANCE, postgres, temporal, deployer: application });
  const { catalog, oldest, newest, databases } = shop;
  const migrations = catalog.databases.reduce((sum, database) => sum + database.migrations.length, 0);
  voice.say(
    `Catalog of the shop: ${catalog.releases.length} releases, ${oldest} to ${newest}, ${migrations} migrations in ${databases.join(', ')}`,
  );

  const stage = await setStage(deps, shop, application, voice);
  const worker = await stage.startWorker();
  voice.say(`Worker ready (process ${worker.pid})`);

  await upgrade(stage);
  voice.say(`Filling it with data …`);
  const rows = await seedShop(postgres, shop);
  voice.say(`${rows.toLocaleString('en')} rows inserted`);

  const told = await downgrade(stage, worker);
  const phones = await readPhones(postgres, shop);
  await report(stage, told, phones, `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows`, began);
  return told.code;
}

async function upgrade(stage: Stage): Promise<void> {
  const { shop, runs, engine, voice } = stage;
  const { plan } = await engine.plan({ instance: INSTANCE, to: shop.newest, direction: 'up' });
  voice.say(`Upgrading ${INSTANCE} from empty databases to ${shop.newest}: ${stepsText(plan)}`);
  await runs.start('upgrade', { instance: INSTANCE, to: shop.newest, by: 'demo', ...consent(plan) });
  const code = await follow(stage);
  if (code !== ExitCode.done)
    throw new CommandError(CliFailure.Unexpected, `The upgrade ended with ${code}; see above.`);
}

async function downgrade(stage: Stage, worker: Child): Promise<Told> {
  const { deps, shop, application, runs, engine, voice } = stage;
  const { newest, oldest } = shop;
  const versions = [newest, ...VIA, oldest];
  const turns = createTurns({ application, versions, signal: deps.signal, tell: voice.tell });
  voice.say(`${newest} of the application runs: hooks.after of the upgrade has called its deployer`);
  await turns.show(newest);

  const { plan } = await engine.plan({ instance: INSTANCE, to: oldest, direction: 'down' });
  voice.say(
    `Downgrading ${INSTANCE} to ${oldest} in turns with its application, at ${VIA.join(' and ')}: ${stepsText(plan)}`,
  );
  for (const line of [...lossLines(plan), ...dataLinesOf(plan)]) voice.tell(line);

  const began = Date.now();
  await runs.start('downgrade', { instance: INSTANCE, to: oldest, via: VIA, by: 'demo', ...consent(plan) });
  const murder = murderPlot({ say: voice.say, startWorker: stage.startWorker }, worker, allSteps(plan));
  let followed = await untilTurn(stage, murder, []);
  while (followed.kind === 'turn') {
    const { release } = followed;
    voice.say(`${INSTANCE} stands at ${release}, and the run waits: hooks.atStop has called the deployer`);
    await turns.show(release);
    await application.stop();
    await runs.update(INSTANCE, 'continue', { release, by: 'demo', why: `${release} of the application was tried` });
    voice.tell('"continue" sent: the run goes on');
    const behind = turns.told().map((turn) => turn.release);
    followed = await untilTurn(stage, murder, behind);
  }
  const { code } = followed;
  const tookMs = Date.now() - began;
  await murder.successor();
  if (code === ExitCode.done) {
    voice.say(`${INSTANCE} stands at ${oldest}, and the run is over: hooks.after has called the deployer`);
    await turns.show(oldest);
  }
  return { code, plan, tookMs, ...murder.told(), turns: turns.told() };
}

type Followed = { readonly kind: 'turn'; readonly release: string } | { readonly kind: 'ended'; readonly code: number };

/** Follows the run to its end, or to a stop where it waits for `continue`: whoever sends that looks at the application first. */
async function untilTurn(
  stage: Stage,
  murder: ReturnType<typeof murderPlot>,
  behind: readonly string[],
): Promise<Followed> {
  let turn: string | null = null;
  const code = await follow(stage, {
    onStatus: murder.onStatus,
    onUnanswered: murder.onUnanswered,
    leaveAt({ hook, release }) {
      const isTurn = hook?.name === 'atStop' && hook.state === 'waiting' && !behind.includes(release ?? '');
      if (isTurn) turn = release;
      return isTurn;
    },
    pollMs: 40,
  });
  return turn === null ? { kind: 'ended', code } : { kind: 'turn', release: turn };
}

/** The display is the run's meanwhile: what the deployer says goes above it. */
async function follow({ deps, runs, voice }: Stage, more: Partial<FollowOptions> = {}): Promise<number> {
  voice.follow(true);
  try {
    return await followRun(runs, deps.terminal, {
      ...more,
      instance: INSTANCE,
      json: false,
      signal: deps.signal,
      leaveWhenParked: true,
      onStatus(status, note) {
        voice.flush(note);
        more.onStatus?.(status, note);
      },
    });
  } finally {
    voice.follow(false);
  }
}
