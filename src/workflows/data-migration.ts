import type { PlanSummary } from '../contract/activities.js';
import { type DataInput, parseDataInput } from '../contract/input.js';
import type { UnwindReport } from '../contract/messages.js';
import { type Carried, parseCarried } from './carried.js';
import { claimAll, conclude } from './conclude.js';
import { moveData } from './data-chain.js';
import { complete, endAborted } from './ending.js';
import { asWorkflowFailure } from './failures.js';
import { acceptMessages } from './messages.js';
import { makeDataPlan } from './planning.js';
import { startProgress } from './progress.js';
import { createRun, type Run } from './run.js';
import { readWhenAlone } from './writers.js';

/**
 * Carries one data migration forward or back on the schema that stands: `{"instance": "acme-eu", "id": "7", "direction": "forward"}`.
 * No release is recorded, no schema changed; only the database of the data migration is claimed.
 */
export async function dataMigration(input: unknown, carried?: unknown): Promise<UnwindReport> {
  try {
    const asked = parseDataInput(input);
    const run = setUp(asked, parseCarried(carried));
    return await conclude(run, asked, () => carryOut(run, asked));
  } catch (error) {
    throw asWorkflowFailure(error); // a cancellation stays what it is
  }
}

function setUp(asked: DataInput, carried: Carried | null): Run {
  const { id: _, direction, ...rest } = asked;
  const run = createRun(startProgress(direction === 'forward' ? 'up' : 'down', { ...rest, to: '' }, carried, asked));
  acceptMessages(run);
  run.show();
  return run;
}

/** Undefined: the history is long enough, the run goes on in a new one. */
async function carryOut(run: Run, asked: DataInput): Promise<UnwindReport | undefined> {
  const { progress } = run;
  const plan = await makeDataPlan(run, asked);
  if (plan && (await claimAll(run)) && (await move(run, plan, asked))) {
    const nothing = progress.moved.get(asked.id)?.rows === 0;
    const report = await complete(run, plan, nothing ? 'alreadyThere' : 'completed');
    if (report) return report;
  }
  return progress.aborting ? endAborted(run) : undefined;
}

/**
 * The runner ends where the data says that it is at its end and its verify query agrees, under the locks. False: the run stops.
 */
async function move(run: Run, plan: PlanSummary, { direction }: DataInput): Promise<boolean> {
  const { progress } = run;
  progress.leg = 0;
  run.show();
  // Forward is what the product does itself beside its application. Back, that would make new rows behind us.
  const read = await readWhenAlone(run, plan, 0, direction === 'forward' ? { besideWriters: true } : {});
  const [leg] = progress.legs;
  if (!read?.data || !leg) return false;
  leg.dataDone = {};
  // One that an earlier attempt has ended is asked for all the same: its record says what became of it.
  for (const [database, steps] of Object.entries(read.data)) {
    progress.data.set(
      database,
      steps.map((step) => ({ ...step, done: false })),
    );
  }
  run.show();
  for (const database of plan.databases) {
    if ((await moveData(run, plan.plan, 0, database, false)) !== 'moved') return false;
  }
  progress.verified = 1;
  progress.data.clear();
  return true;
}
