import type { BlockerPolicy } from '../contract/blockers.js';
import type { CheckVerdict, StepOutcome, StepRef } from '../contract/activities.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType } from '../contract/errors.js';
import { stepActivityId, stepSummary } from '../contract/ids.js';
import type { PlanId } from '../contract/plan.js';
import { during, settledByHand, Stuck } from './failures.js';
import { untilResumed } from './holding.js';
import { notePace } from './pace.js';
import { untilDone } from './parking.js';
import { noteCheck, type Progress, warn } from './progress.js';
import { isStopping, type Run, unlessAborted } from './run.js';

/**
 * One database's steps of one leg, in order. A check comes before each step and none after the last: that one is the next leg's
 * first, or the run's final check. So N steps cost N+1 checks.
 */
export async function unwindDatabase(
  run: Run,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
  planned: readonly StepRef[],
): Promise<void> {
  const { progress } = run;
  let steps = planned;
  for (let at = 0; at < steps.length;) {
    const step = steps[at] as StepRef;
    if (step.done) {
      at += 1;
      continue;
    }
    if (isStopping(run)) return;
    if (progress.paused && !(await untilResumed(run, [database]))) return;
    progress.current.set(database, step);
    // The check is part of what is tried again: whatever parked a step may have changed the database.
    const outcome = await untilDone(run, { database, step, claims: [database] }, async () => {
      progress.began.set(database, Date.now());
      await expectClean(run, plan, database, step.seq);
      if (isStopping(run)) return undefined;
      return applyOrGoBack(run, plan, leg, database, step);
    });
    if (!outcome) return;
    const legProgress = progress.legs[leg];
    if ('steps' in outcome) {
      steps = outcome.steps;
      at = 0;
      if (legProgress) legProgress.done[database] = steps.filter(({ done }) => done).length;
      warn(
        progress,
        `${database} behind`,
        `${database}: the journal lacked steps of leg ${leg + 1} that this run had been told were done (a failover lost commits, or ` +
          `somebody completed a step's activity by hand); they were run again`,
      );
    } else {
      at += 1;
      if (legProgress) legProgress.done[database] = (legProgress.done[database] ?? 0) + 1;
      notePace(progress, database, step, outcome);
      noteOutcome(run, database, step, outcome);
    }
    progress.began.delete(database);
    run.show();
  }
  progress.current.delete(database);
  if (progress.paused) await untilResumed(run, [database]);
}

/**
 * The journal is the position: where it is behind what this run has been told was done, a failover lost commits (or somebody
 * completed a step's activity by hand with a result that looks like ours), and the run goes back
 * to the first step of the leg that the journal does not call done. Behind the leg's beginning lies a closed boundary: then
 * nothing is gained by going back, and the run parks.
 */
async function applyOrGoBack(
  run: Run,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
  step: StepRef,
): Promise<StepOutcome | { readonly steps: readonly StepRef[] }> {
  try {
    return await applyStep(run, plan, leg, database, step);
  } catch (error) {
    if (!(error instanceof Stuck) || error.failure !== FailureType.JournalBehind) throw error;
    const { progress, proxies } = run;
    const input = { instance: progress.input.instance, run: progress.run, plan, leg, besideWriters: true as const };
    const read = await during('plan', () => unlessAborted(run, () => proxies.readLeg(input)));
    const steps = read.steps[database] ?? [];
    const first = steps.find(({ done }) => !done);
    if (first === undefined || first.seq >= step.seq) {
      throw new Stuck(
        'step',
        FailureType.JournalBehind,
        `The journal of "${database}" lacks steps of an earlier release that this run has closed: a failover lost commits behind a ` +
          `boundary that the other databases have passed. Nothing was changed. Send the update "abort" and start again: the new run ` +
          `plans from where each database really stands.`,
      );
    }
    return { steps };
  }
}

/**
 * @throws {Stuck} the database is not what the journal says it must be, or nobody could look.
 */
export async function expectClean(run: Run, plan: PlanId, database: DatabaseName, nextSeq: number): Promise<void> {
  const { progress } = run;
  const verdict = await during('check', () => unlessAborted(run, () => check(run, plan, database, nextSeq)));
  noteCheck(progress, database, verdict);
  if (verdict.clean) return;
  throw new Stuck(
    'check',
    FailureType.DirtyDatabase,
    `"${database}" is not in the state that step ${nextSeq} starts from. Nothing was changed by this check. ` +
      `Repair what is listed, then send the update "retryStep".`,
    { reasons: verdict.reasons },
  );
}

/** A verdict older than this says too little about now. */
const RIDING_MS = 1_000;

/**
 * The check that rode behind the last step's commit answers for a second; otherwise the database is asked. So a chain of steps
 * costs one activity each, and N+1 checks all the same.
 */
async function check(run: Run, plan: PlanId, database: DatabaseName, nextSeq: number): Promise<CheckVerdict> {
  const { progress, proxies } = run;
  const riding = progress.riding.get(database);
  progress.riding.delete(database); // for one use: whatever parks a step may change the database
  const timeline = progress.timelines.get(database) ?? null;
  if (
    riding?.nextSeq === nextSeq &&
    Date.now() - riding.at <= RIDING_MS &&
    riding.verdict.timeline >= (timeline ?? 0)
  ) {
    return riding.verdict;
  }
  const token = progress.tokens.get(database) ?? ''; // '' where nothing is claimed: the check of an instance that is there already
  const input = { instance: progress.input.instance, run: progress.run, plan, database, nextSeq, token, timeline };
  const server = progress.plan?.servers?.[database];
  return proxies.checkDirty(server === undefined ? input : { ...input, server });
}

async function applyStep(
  run: Run,
  plan: PlanId,
  leg: number,
  database: DatabaseName,
  step: StepRef,
): Promise<StepOutcome> {
  const { progress, proxies } = run;
  const { direction } = progress;
  const outcome: Partial<StepOutcome> | null = await during('step', () =>
    proxies.applyMigration(
      {
        activityId: stepActivityId(database, step.seq, direction),
        summary: stepSummary(database, step.migration, step.name, direction),
      },
      {
        instance: progress.input.instance,
        run: progress.run,
        plan,
        leg,
        database,
        seq: step.seq,
        migration: step.migration,
        direction,
        token: progress.tokens.get(database) ?? '',
        ...blockersOf(progress),
      },
    ),
  );
  if (typeof outcome?.how !== 'string' || typeof outcome.skippedNotices !== 'number') {
    throw settledByHand('step', 'completed, with a result that is not one of ours,');
  }
  return outcome as StepOutcome; // as: no worker of ours sends half of one
}

function blockersOf({ input, options }: Progress): { blockers?: BlockerPolicy } {
  const blockers = options.blockers ?? input.blockers;
  return blockers === undefined ? {} : { blockers };
}

function noteOutcome({ progress }: Run, database: DatabaseName, step: StepRef, outcome: StepOutcome): void {
  if (outcome.check) progress.riding.set(database, { verdict: outcome.check, nextSeq: step.seq + 1, at: Date.now() });
  if (outcome.skippedNotices === 0) return;
  warn(
    progress,
    `${database} ${step.seq} skipped`,
    `${database} ${step.migration} ${step.name}: ${outcome.skippedNotices === 1 ? 'once' : `${outcome.skippedNotices} times`} "does not exist, skipping"; ` +
      `a misspelt name in the script would look the same`,
  );
}
