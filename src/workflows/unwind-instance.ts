import { parseUnwindInput, type UnwindInput } from '../contract/input.js';
import type { UnwindReport } from '../contract/messages.js';
import type { Direction } from '../contract/plan.js';
import { type Carried, parseCarried } from './carried.js';
import { claimAll, conclude } from './conclude.js';
import { turnBack } from './control.js';
import { complete, endAborted, endAlreadyThere } from './ending.js';
import { asWorkflowFailure } from './failures.js';
import { passAfter, passBefore } from './hooks.js';
import { expectAllClean, unwindLegs } from './legs.js';
import { acceptMessages } from './messages.js';
import { consentGiven, isAlreadyThere, makePlan } from './planning.js';
import { startProgress } from './progress.js';
import { createRun, type Run } from './run.js';

/** Takes an instance down to a release. `{"instance": "acme-eu", "to": "v5.8.0"}`; see contract/input.ts for the rest. */
export async function downgrade(input: unknown, carried?: unknown): Promise<UnwindReport> {
  return unwindInstance('down', input, carried);
}

/** Takes an instance up to a release; the same input. */
export async function upgrade(input: unknown, carried?: unknown): Promise<UnwindReport> {
  return unwindInstance('up', input, carried);
}

async function unwindInstance(direction: Direction, input: unknown, carried: unknown): Promise<UnwindReport> {
  try {
    const run = setUp(direction, parseUnwindInput(input), parseCarried(carried));
    const report = await conclude(run, run.progress.input, () => carryOut(run));
    return run.progress.turningBack && report.outcome === 'aborted' ? await turnBack(run) : report;
  } catch (error) {
    throw asWorkflowFailure(error); // a cancellation stays what it is
  }
}

function setUp(direction: Direction, input: UnwindInput, carried: Carried | null): Run {
  const run = createRun(startProgress(direction, input, carried));
  acceptMessages(run);
  run.show();
  return run;
}

/** Undefined: the history is long enough, the run goes on in a new one. */
async function carryOut(run: Run): Promise<UnwindReport | undefined> {
  const { progress } = run;
  const plan = await makePlan(run);
  if (plan && isAlreadyThere(plan)) {
    if (await expectAllClean(run, plan, false)) return endAlreadyThere(run, plan);
  } else if (plan) {
    const done =
      (await consentGiven(run, plan)) &&
      (await passBefore(run, plan)) &&
      (await claimAll(run)) &&
      (await unwindLegs(run, plan)) &&
      (await expectAllClean(run, plan, true)) &&
      (await passAfter(run, plan));
    const report = done ? await complete(run, plan) : undefined;
    if (report) return report;
  }
  return progress.aborting ? endAborted(run) : undefined;
}
