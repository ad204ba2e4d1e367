import { allHandlersFinished, CancellationScope, condition, continueAsNew, isCancellation } from '@temporalio/workflow';
import { parseUnwindInput, type UnwindInput } from '../contract/input.js';
import type { UnwindReport } from '../contract/messages.js';
import type { Direction } from '../contract/plan.js';
import { type Carried, parseCarried } from './carried.js';
import { complete, endAborted, endAlreadyThere, endCancelled } from './ending.js';
import { asWorkflowFailure } from './failures.js';
import { passAfter, passBefore } from './hooks.js';
import { expectAllClean, unwindLegs } from './legs.js';
import { recordDecision } from './decisions.js';
import { acceptMessages } from './messages.js';
import { untilDone, wholeInstance } from './parking.js';
import { consentGiven, isAlreadyThere, makePlan } from './planning.js';
import { carriedOf, now, startProgress } from './progress.js';
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
    return await untilTarget(run);
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

async function untilTarget(run: Run): Promise<UnwindReport> {
  try {
    const report = await carryOut(run);
    if (!report) return await goOnAfresh(run);
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished)); // what is done is done
    return report;
  } catch (error) {
    await CancellationScope.nonCancellable(async () => {
      if (isCancellation(error)) await endCancelled(run);
      await condition(allHandlersFinished);
    });
    throw error;
  }
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

async function claimAll(run: Run): Promise<boolean> {
  if (run.progress.takeOver)
    await recordDecision(run, { kind: 'takeOver', by: run.progress.input.by ?? null, why: null, at: now() }, {});
  return (await untilDone(run, wholeInstance(run), () => Promise.resolve(true))) ?? false;
}

/** The plan's steps stay in the journal; the position, the claims and what was decided go along. */
async function goOnAfresh(run: Run): Promise<never> {
  const { progress } = run;
  await condition(allHandlersFinished);
  if (!progress.plan) throw new Error('a run without a plan has nothing to go on with');
  return continueAsNew(progress.input, carriedOf(progress, progress.plan));
}
