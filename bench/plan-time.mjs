// node bench/plan-time.mjs <catalog folder> <from> <to>   one process's answer, as JSON
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { median } from './median.mjs';

const self = fileURLToPath(import.meta.url);

/** Opening the catalog and planning in fresh processes: an operator's command is one. */
export async function measurePlanTime({ subject, processes }) {
  const answers = [];
  for (let at = 0; at < processes; at += 1) {
    const { stdout } = await promisify(execFile)(process.execPath, [self, subject.directory, subject.from, subject.to]);
    answers.push(JSON.parse(stdout));
  }
  const of = (field) => median(answers.map((answer) => answer[field]));
  return { openMs: of('openMs'), downMs: of('downMs'), upMs: of('upMs'), downs: of('downs'), ups: of('ups') };
}

async function planOnce([directory, from, to]) {
  const { findRelease, migrationIds, makePlan, openCatalog } = await import('./product.mjs');
  const { sha256, stepsOf } = await import('./subject.mjs');
  const began = performance.now();
  const { catalog, hash } = await openCatalog(directory);
  const openMs = performance.now() - began;
  const databases = catalog.databases.map(({ name }) => name);
  const { release } = findRelease(catalog, from);
  const at = (idsOf) => Object.fromEntries(databases.map((name) => [name, { applied: idsOf(name), absent: [] }]));
  const timed = (direction, target, ledger) => {
    const start = performance.now();
    const plan = makePlan({ catalog, catalogHash: hash, direction, target, databases, ledger }, sha256);
    return { ms: performance.now() - start, steps: stepsOf(plan) };
  };
  const down = timed(
    'down',
    to,
    at((name) => migrationIds(catalog, release, name)),
  );
  const newest = catalog.labels[catalog.releases.at(-1).labels[0]].label;
  const up = timed(
    'up',
    newest,
    at(() => []),
  );
  process.stdout.write(JSON.stringify({ openMs, downMs: down.ms, upMs: up.ms, downs: down.steps, ups: up.steps }));
}

if (process.argv[1] === self) await planOnce(process.argv.slice(2));
