import { defineQuery, defineUpdate, isCancellation, setHandler } from '@temporalio/workflow';
import {
  type ApproveInput,
  type ContinueInput,
  type PauseInput,
  QueryName,
  type ResumeInput,
  type RetryStepInput,
  type StatusReport,
  UpdateName,
} from '../contract/messages.js';
import { hookKey } from '../contract/hooks.js';
import { FailureType } from '../contract/errors.js';
import type { LossSummary } from '../contract/losses.js';
import { acceptControl } from './control.js';
import { decide, recordConsent, recordDecision, writeDecision } from './decisions.js';
import { during, Stuck } from './failures.js';
import { yieldWaiting } from './holding.js';
import { acceptOverruling } from './overrule.js';
import { keyOfHalt } from './progress.js';
import { refuse, refuseApprove, refuseContinue, refusePause, refuseResume, refuseRetryStep } from './refusals.js';
import type { Run } from './run.js';
import { statusOf } from './status.js';

export const statusQuery = defineQuery<StatusReport>(QueryName.status);
// The argument may be missing: the Web UI and the command line send none unless told to.
export const approveUpdate = defineUpdate<StatusReport, [ApproveInput | undefined]>(UpdateName.approve);
export const retryStepUpdate = defineUpdate<StatusReport, [RetryStepInput | undefined]>(UpdateName.retryStep);
export const pauseUpdate = defineUpdate<StatusReport, [PauseInput | undefined]>(UpdateName.pause);
export const resumeUpdate = defineUpdate<StatusReport, [ResumeInput | undefined]>(UpdateName.resume);
export const continueUpdate = defineUpdate<StatusReport, [ContinueInput | undefined]>(UpdateName.continue);

/** Before anything is awaited: an update may come with the very first task. */
export function acceptMessages(run: Run): void {
  const { progress } = run;
  acceptControl(run);
  acceptOverruling(run);

  setHandler(statusQuery, () => statusOf(progress), { description: 'Where the run is and what it waits for.' });

  setHandler(
    approveUpdate,
    async (input) => {
      const { plan } = progress;
      if (!plan) refuse('There is no plan any more.'); // the validator saw one
      try {
        await during('plan', () => recordConsent(run, plan, decide(UpdateName.approve, input), 'update'));
      } catch (error) {
        if (isCancellation(error) || !(error instanceof Stuck)) throw error;
        if (error.failure === FailureType.LossesGrown) {
          const { losses } = error.details;
          progress.plan = { ...plan, losses: losses as LossSummary }; // as: written by our own activity
          run.show();
          refuse(error.message, error.failure);
        }
        refuse(
          `The consent could not be written to the journal, so it does not count: ${error.message}`,
          error.failure,
        );
      }
      run.show();
      // The run itself turns a moment later; whoever consented is told what follows.
      return statusOf({ ...progress, phase: 'running' });
    },
    {
      description: 'Consent to what the plan destroys: {"plan":"<its id>"}, optionally "by" and "why".',
      validator: (input) => refuseApprove(progress, input),
    },
  );

  setHandler(
    retryStepUpdate,
    async (input) => {
      const database = input?.database ?? [...progress.parked.keys()][0] ?? '';
      progress.parked.delete(database);
      run.show();
      await recordDecision(run, decide(UpdateName.retryStep, input), database === '' ? {} : { database });
      return statusOf(progress);
    },
    {
      description: 'Go on where the run is parked, beginning with the check: {"database":"<name>"} where several are.',
      validator: (input) => refuseRetryStep(progress, input),
    },
  );

  setHandler(
    pauseUpdate,
    async (input) => {
      const decision = decide(UpdateName.pause, input);
      progress.paused = decision;
      progress.decisions.push(decision);
      run.movable.forEach((scope) => scope.cancel());
      run.show();
      await yieldWaiting(run);
      await writeDecision(run, decision, {});
      return statusOf(progress);
    },
    {
      description: 'Begin nothing more: a running script ends, a data migration stops between two batches.',
      validator: (input) => refusePause(progress, input),
    },
  );

  setHandler(
    resumeUpdate,
    async (input) => {
      progress.paused = null;
      run.show();
      await recordDecision(run, decide(UpdateName.resume, input), {});
      return statusOf(progress);
    },
    {
      description: 'Go on with a paused run, beginning with a check.',
      validator: (input) => refuseResume(progress, input),
    },
  );

  setHandler(
    continueUpdate,
    async (input) => {
      const { halt } = progress;
      if (!halt) refuse('The run has gone on.'); // the validator saw one
      progress.answered.set(keyOfHalt(halt), 'done');
      progress.parked.delete(''); // its hook's: nothing else is carried out meanwhile
      run.calls.forEach((scope) => scope.cancel());
      run.show();
      const { release, leg, hook } = halt;
      const key = hookKey(progress.run, hook, leg === null ? null : leg + 1);
      await recordDecision(run, decide(UpdateName.continue, input), { release, hook: key });
      return statusOf(progress);
    },
    {
      description:
        'Leave the release at which the run stands still: the application has followed, whatever a hook says.',
      validator: (input) => refuseContinue(progress, input),
    },
  );
}
