import { copyName } from './downgrade.mjs';
import { median } from './median.mjs';
import { applyStep, beginStep, check, checkDatabase, endStep, openSession, transaction } from './product.mjs';
import { stageSteps, TABLE, trivial } from './stage.mjs';

const MODES = ['quiet', 'counted', 'afresh'];
const WARM_UP = 10;

/**
 * What the step protocol adds to a transaction of the server, seen by a client on loopback: `begin; begin_step; text; end_step;
 * commit` against `begin; text; commit`, and the check alone. The modes take turns, each on a copy of its own. Before each step
 * the session is reset, as the pool does between two steps; the reset itself is beside the caller's way and not in the figure.
 */
export async function measureStepCost({ bench, steps }) {
  const { subject, databases, postgres } = bench;
  const copies = Object.fromEntries(['bare', ...MODES].map((mode) => [mode, copyName(`step ${mode}`, subject.main)]));
  for (const copy of Object.values(copies)) await databases.copy(subject, { [subject.main]: copy });
  const opened = [];
  try {
    const bare = await openSession(postgres.url(copies.bare));
    opened.push(bare);
    await bare.client.query(TABLE);
    const stages = {};
    for (const mode of MODES) {
      const url = postgres.url(copies[mode]);
      const key = subject.ledgerKey(subject.main);
      const stage = await stageSteps({ url, count: steps + WARM_UP, key, afresh: mode === 'afresh' });
      opened.push(stage);
      const session = await openSession(url);
      opened.push(session);
      const { rows } = await session.client.query('select count(*)::integer as n from pg_class where oid >= 12000');
      stages[mode] = { stage, session, verdict: await look(session, stage, 1), relations: rows[0].n };
    }
    await databases.settle();
    const times = await takeTurns({ bare, stages, steps, noise: () => databases.query('select pg_current_xact_id()') });
    return { relations: stages.counted.relations, ...times };
  } finally {
    for (const each of opened.reverse()) await each.close();
    await databases.drop(copies);
  }
}

async function takeTurns({ bare, stages, steps, noise }) {
  const bareMs = [];
  const stepMs = Object.fromEntries(MODES.map((mode) => [mode, []]));
  const checkMs = { quiet: [], counted: [], afresh: [] };
  const hows = new Set();
  for (let seq = 1; seq <= steps + WARM_UP; seq += 1) {
    const keep = seq > WARM_UP;
    await bare.reset();
    const raw = await timed(() => bare.client.query(transaction(`${trivial(seq)};`)));
    if (keep) bareMs.push(raw.ms);
    for (const mode of MODES) {
      const entry = stages[mode];
      const { stage, session } = entry;
      const order = stage.order(seq);
      // Quiet is what nobody came between: the others have had their turns since the last look.
      if (mode === 'quiet') entry.verdict = await look(session, stage, seq);
      await session.reset();
      const text = transaction(
        beginStep(order, stage.lock, entry.verdict),
        `\n${order.script.body}\n;`,
        endStep(order, 'ran'),
      );
      const step = await timed(() => session.client.query(text));
      if (mode !== 'quiet') await noise(); // somebody else's transaction id: the catalogs have to be looked at
      const checked = await timed(() => look(session, stage, seq + 1));
      entry.verdict = checked.value;
      if (!keep) continue;
      stepMs[mode].push(step.ms);
      checkMs[mode].push(checked.ms);
      hows.add(`${mode}:${checked.value.how}`);
    }
  }
  const bareMedian = median(bareMs);
  return {
    bare: bareMedian,
    over: Object.fromEntries(MODES.map((mode) => [mode, median(stepMs[mode]) - bareMedian])),
    check: { quiet: median(checkMs.quiet), counted: median(checkMs.counted) },
    /** The quiet mode's checks were quiet, the others' counted: else the figures mean something else. */
    asMeant:
      hows.size === MODES.length && MODES.every((mode) => hows.has(`${mode}:${mode === 'quiet' ? mode : 'counted'}`)),
    steps: bareMs.length,
  };
}

async function look(session, { run, lock }, nextSeq) {
  const { rows } = await session.client.query(check(run, nextSeq, lock));
  const verdict = rows[0].pgu_check;
  if (!verdict.clean) throw new Error(`the staged database is dirty: ${JSON.stringify(verdict.reasons)}`);
  return verdict;
}

async function timed(work) {
  const began = performance.now();
  const value = await work();
  return { value, ms: performance.now() - began };
}

/** Counts what the driver waits for, through a proxy that delays nothing. */
export async function countRoundTrips({ bench, proxy, steps = 20 }) {
  const { subject, databases, postgres } = bench;
  const copy = copyName('round trips', subject.main);
  await databases.copy(subject, { [subject.main]: copy });
  const url = new URL(postgres.url(copy));
  url.port = String(proxy.port);
  const key = subject.ledgerKey(subject.main);
  const stage = await stageSteps({ url: url.href, count: steps, key });
  try {
    // Two sessions are connected and reset before anything counts.
    await Promise.all(
      [1, 2].map(() => stage.database.sessions.withSession(({ client }) => client.query('select pg_sleep(0.05)'))),
    );
    const settled = () => new Promise((resolve) => setTimeout(resolve, 200));
    await settled();
    let before = proxy.counts();
    let verdict = null;
    for (let times = 0; times < steps; times += 1) verdict = await checkDatabase(stage.database, stage.run, 1);
    await settled();
    const check = (proxy.counts().answers - before.answers) / steps;
    before = proxy.counts();
    for (let seq = 1; seq <= steps; seq += 1) {
      verdict = (await applyStep(stage.database, stage.order(seq), stage.context(verdict))).check;
    }
    await settled();
    const after = proxy.counts();
    return {
      check,
      step: (after.answers - before.answers) / steps,
      resets: (after.resets - before.resets) / steps,
    };
  } finally {
    await stage.close();
    await databases.drop({ copy });
  }
}
