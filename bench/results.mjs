import { BUDGETS, CORPUS_STEPS, PEERS } from './budgets.mjs';

const ms = (value) =>
  value >= 10_000
    ? `${(value / 1_000).toFixed(1)} s`
    : value >= 100
      ? `${Math.round(value)} ms`
      : `${value.toFixed(value < 10 ? 2 : 1)} ms`;
const ratio = (value, floor) => (floor ? `${(value / floor).toFixed(1)} ×` : '–');
const met = (value, budget, aim) =>
  value <= budget ? (aim === undefined ? 'yes' : value <= aim ? 'yes, the aim too' : 'yes, the aim not') : '**no**';

/** One row of the table; a row without a budget is there for comparison. */
function row(what, { floor = null, measured, show = ms, budget, aim, budgetText, withRatio = true }) {
  return [
    what,
    floor === null ? '–' : show(floor),
    show(measured),
    floor === null || !withRatio ? '–' : ratio(measured, floor),
    budgetText ?? (budget === undefined ? '–' : `≤ ${show(budget)}${aim === undefined ? '' : `, aim ${show(aim)}`}`),
    budget === undefined ? '–' : met(measured, budget, aim),
  ];
}

const plain =
  (unit, digits = 0) =>
  (value) =>
    `${value.toFixed(digits)}${unit}`;

function downgradeRows({ near3, near1 }, corpus) {
  const rows = [];
  for (const [measured, expected] of [
    [near3, CORPUS_STEPS.all],
    [near1, CORPUS_STEPS.main],
  ]) {
    if (!measured) continue;
    const { steps, names, raw, engine, temporal } = measured;
    const what = `${steps} downs, ${names.length === 1 ? `one database (${names[0]})` : `${names.length} databases side by side`}`;
    const applies = corpus && steps === expected && names.length > 1;
    const perStep = (total) => (total - raw) / steps;
    rows.push(
      row(`${what}: engine without Temporal`, { floor: raw, measured: engine }),
      row(`${what}: engine with Temporal`, {
        floor: raw,
        measured: temporal,
        ...(applies ? { budget: BUDGETS.downgradeMs, aim: BUDGETS.downgradeAimMs } : {}),
      }),
      row(`… without Temporal, per step over raw`, { measured: perStep(engine) }),
      row(`… with Temporal, per step over raw`, {
        measured: perStep(temporal),
        budget: BUDGETS.stepOverRawMs,
        aim: BUDGETS.stepOverRawAimMs,
      }),
    );
  }
  const history = near3 ?? near1;
  if (history) {
    rows.push(
      row('history: events per step, legs and claims included', {
        measured: history.events / history.steps,
        show: plain('', 1),
        budget: BUDGETS.eventsPerStep,
      }),
      row('history: bytes per step', {
        measured: history.bytes / history.steps,
        show: plain(' B'),
        budget: BUDGETS.bytesPerStep,
      }),
    );
  }
  return rows;
}

function distanceRows({ far }, corpus) {
  if (!far) return [];
  const { steps, raw, rawStatements, engine, temporal, engineRoundTrips, temporalRoundTrips, roundTripMs } = far;
  const what = `${steps} downs, one database, ${roundTripMs.toFixed(1)} ms round trip`;
  const applies = corpus && steps === CORPUS_STEPS.main;
  const budget = applies ? { budget: BUDGETS.distanceMs, aim: BUDGETS.distanceAimMs } : {};
  return [
    row(`${what}: begin, script and commit sent one by one by the raw client`, { floor: raw, measured: rawStatements }),
    row(`${what}: engine without Temporal`, { floor: raw, measured: engine }),
    row(`${what}: engine with Temporal`, { floor: raw, measured: temporal, ...budget }),
    row('round trips per step over that whole run, without Temporal', {
      floor: 1,
      measured: engineRoundTrips / steps,
      show: plain('', 2),
      withRatio: false,
    }),
    row('round trips per step over that whole run, with Temporal', {
      floor: 1,
      measured: temporalRoundTrips / steps,
      show: plain('', 2),
      withRatio: false,
    }),
  ];
}

function stepRows({ step, roundTrips }) {
  const rows = [];
  if (step) {
    const { over, check, bare, relations } = step;
    rows.push(
      row('SQL of one atomic step over the bare transaction: lock, look, guard, ledger, journal', {
        floor: bare,
        measured: over.quiet,
        budget: BUDGETS.sqlStepMs,
        withRatio: false,
      }),
      row('the same behind a counted check', {
        floor: bare,
        measured: over.counted,
        budget: BUDGETS.sqlStepMs,
        withRatio: false,
      }),
      row('the same with the catalogs counted afresh at its end', {
        floor: bare,
        measured: over.afresh,
        budget: BUDGETS.sqlAfreshMs,
        withRatio: false,
      }),
      row(`dirty check, quiet, ${relations} relations`, { measured: check.quiet, budget: BUDGETS.checkMs }),
      row(`dirty check, counted, ${relations} relations`, { measured: check.counted, budget: BUDGETS.checkMs }),
    );
  }
  if (roundTrips) {
    rows.push(
      row('round trips of an atomic step with the next check', {
        floor: 1,
        measured: roundTrips.step,
        show: plain('', 1),
        budget: BUDGETS.stepRoundTrips,
        aim: BUDGETS.stepRoundTripsAim,
        withRatio: false,
      }),
      row('round trips of a clean check', {
        floor: 1,
        measured: roundTrips.check,
        show: plain('', 1),
        budget: BUDGETS.checkRoundTrips,
        withRatio: false,
      }),
    );
  }
  return rows;
}

function otherRows({ catalog, plan, resume, memory, gitMs }, subject) {
  const rows = [];
  if (plan) {
    rows.push(
      row('opening the compiled catalog, fresh process', { measured: plan.openMs }),
      row(`plan of ${plan.downs} downs, fresh process, ledgers not read`, {
        measured: plan.downMs,
        budget: BUDGETS.planMs,
      }),
      row(`plan of all ${plan.ups} ups`, { measured: plan.upMs, budget: BUDGETS.planMs }),
    );
  }
  if (catalog) {
    rows.push(
      row(`catalog of ${subject.migrations} migrations from ${subject.catalog.labels.length} labels`, {
        floor: gitMs ?? null,
        measured: catalog.builtMs,
        budget: BUDGETS.catalogMs,
      }),
    );
  }
  for (const [hit, { floor, over }] of Object.entries(resume ?? {})) {
    const timeout = hit === 'a step' ? 'heartbeat timeout' : 'workflow task timeout';
    rows.push(
      row(`kill -9 of the worker in ${hit}, to the next finished step, less the ${timeout}`, {
        floor,
        measured: over,
        budget: BUDGETS.resumeOverHeartbeatMs,
        withRatio: false,
      }),
    );
  }
  if (memory?.peak) {
    const { instances, steps, idle, peak, seconds } = memory;
    rows.push(
      row(
        `memory of a worker: ${instances} instances of one database each at once, ${steps} steps each (${seconds.toFixed(0)} s)`,
        {
          floor: idle,
          measured: peak,
          show: plain(' MB'),
          ...(instances >= 100 ? { budget: BUDGETS.fleetMb } : {}),
        },
      ),
    );
  }
  return rows;
}

function dataRows({ data }) {
  if (!data) return [];
  const { rows, batches, engine, bare, temporal } = data;
  const what = `data migration, ${rows.toLocaleString('en-US')} rows back in ${batches} batches`;
  const over = (measured) => ({
    floor: bare.ms,
    measured,
    budget: BUDGETS.dataOverBare * bare.ms,
    budgetText: `≤ ${BUDGETS.dataOverBare.toFixed(1)} ×`,
  });
  const growth = ({ memory }, whose) =>
    memory === null
      ? []
      : [
          row(`memory of ${whose} meanwhile: growth after the first tenth of the rows`, {
            floor: memory.start,
            measured: memory.growth,
            show: plain(' MB'),
            budget: BUDGETS.dataGrowthMb,
            withRatio: false,
          }),
        ];
  return [
    row(`${what}: engine without Temporal`, over(engine.ms)),
    row(`${what}: engine with Temporal, the whole run`, over(temporal.ms)),
    ...growth(engine, 'this process'),
    ...growth(temporal, 'the worker'),
  ];
}

/** The whole page. Nothing in it is written by hand but the budgets and the peers' published figures. */
export function resultsPage({ facts, subject, corpus, measured }) {
  const table = [
    ['what', 'floor', 'measured', 'ratio', 'budget', 'met?'],
    ['---', '---', '---', '---', '---', '---'],
    ...downgradeRows(measured, corpus),
    ...distanceRows(measured, corpus),
    ...stepRows(measured),
    ...otherRows(measured, subject),
    ...dataRows(measured),
  ];
  const peers = [
    ['what', 'raw client', 'goose', 'golang-migrate', 'node-pg-migrate'],
    ['---', '---', '---', '---', '---'],
    ...PEERS.map((peer) => [peer.what, peer.raw, peer.goose, peer.golangMigrate, peer.nodePgMigrate]),
  ];
  return `# Benchmark

\`npm run bench\`, ${facts.date}. ${subject.name}, ${subject.from} → ${subject.to}, ${facts.rounds}

${lines(facts.machine)}

Load average (1, 5, 15 minutes; this machine has ${facts.cpus} CPUs): ${facts.loadBefore} before, ${facts.loadAfter} after. A load that is not our own makes every
figure worse; the ratios suffer least, since the compared runs took turns.

${markdown(table)}

Floor: a raw client doing the same, one message \`begin; …; commit\` per script, nothing checked and nothing recorded; of a step's SQL the bare
transaction; of a resume the timeout that notices the death; of the memory the worker at rest; of the catalog \`git\` alone;
of a data migration a bare loop of the same batches (\`begin\`, query, \`commit\`), and of its memory what there was after the first tenth.
Budgets: the design's. Medians over the rounds; a data migration is carried back once in each way.${corpus ? '' : ' The corpus was not there: budgets in seconds are for it and are left out.'}${notes(measured)}

${processorSection(measured)}## Peers

Reference, other machine: published figures for the same downs, not measured in this run.

${markdown(peers)}
`;
}

/** Empty where there is no /proc. */
function processorSection({ near3, near1, far }) {
  const places = [
    ['loopback', near3],
    ['loopback', near1],
    ['at a distance', far],
  ].filter(([, found]) => found?.spent.engine.postgres);
  if (places.length === 0) return '';
  const rows = places.flatMap(([place, { spent, names, steps }]) =>
    Object.entries(spent).map(([kind, { postgres, temporal, worker, client }]) => [
      `${place}, ${names.length} ${names.length === 1 ? 'database' : 'databases'}, ${steps} steps: ${kind}`,
      ...[postgres, temporal, worker, client].map(ms),
    ]),
  );
  const head = ['processor time per step', 'Postgres', 'Temporal server', 'worker', 'this process'];
  return `## Where the work is

Processor time, which a busy machine does not stretch as it stretches a wall clock. "This process" is the raw client, the engine without Temporal and,
at a distance, the delaying proxy.

${markdown([head, ['---', '---', '---', '---', '---'], ...rows])}

`;
}

function notes({ step, roundTrips }) {
  const found = [];
  if (step && !step.asMeant)
    found.push(
      'The staged checks were not all of the kind that was meant: someone else used the server. Read the check rows with care.',
    );
  if (roundTrips)
    found.push(
      `Beside the caller's way, a session's reset costs ${roundTrips.resets.toFixed(1)} round trips per step.`,
    );
  return found.length === 0 ? '' : `\n${found.join('\n')}`;
}

const lines = (facts) =>
  Object.entries(facts)
    .map(([name, value]) => `- ${name}: ${value}`)
    .join('\n');
const markdown = (rows) => rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
